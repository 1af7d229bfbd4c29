"""What programs need, read from this machine's own and from broken ones."""

from __future__ import annotations

import contextlib
import struct
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from images import elf
from runtime.errors import MalformedError

PROGRAM = Path(sys.executable).resolve().read_bytes()


def test_a_real_program_needs_the_c_library() -> None:
    assert "libc.so.6" in elf.needed(PROGRAM)


def test_what_is_no_program_needs_nothing() -> None:
    assert elf.needed(b"#!/bin/sh\n") == ()


def test_the_closure_names_what_is_missing() -> None:
    with pytest.raises(MalformedError, match=r"libc\.so\.6"):
        elf.closure([PROGRAM], lambda _: None)
    assert "libc.so.6" in elf.closure([PROGRAM], lambda _: b"")


def test_a_library_is_looked_for_once_and_brings_what_it_needs_itself() -> None:
    asked: list[str] = []

    def read(name: str) -> bytes | None:
        asked.append(name)
        return PROGRAM if name == "libc.so.6" else b"not one of ours"

    wanted = set(elf.needed(PROGRAM))
    assert elf.closure([PROGRAM, PROGRAM], read) == tuple(sorted(wanted))
    assert sorted(asked) == sorted(wanted), "two programs and a library want it, it is read once"


def test_every_library_that_nobody_has_is_named_once() -> None:
    wanted = sorted(set(elf.needed(PROGRAM)))
    with pytest.raises(MalformedError) as caught:
        elf.closure([PROGRAM, PROGRAM], lambda _: None)
    assert f"need {', '.join(wanted)}, which no package of the room has" in str(caught.value)


@example(at=29, patch=bytes(10) + b"\x80")  # a table further away than Python counts bytes
@example(at=0x200, patch=b"\xff" * 16)
@given(st.integers(6, 0x400), st.binary(min_size=1, max_size=16))
def test_bytes_are_read_or_refused(at: int, patch: bytes) -> None:
    head = PROGRAM[:4096]
    with contextlib.suppress(MalformedError):
        elf.needed(head[:at] + patch + head[at + len(patch) :])


def patched(kind: int, change: bytes, at: int) -> bytes:
    """Return the program with a field of each program header of a kind changed."""
    data = bytearray(PROGRAM)
    (table,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    for start in range(table, table + size * count, size):
        if struct.unpack_from("<I", data, start)[0] == kind:
            data[start + at : start + at + len(change)] = change
    return bytes(data)


def test_a_program_that_is_linked_whole_needs_nothing() -> None:
    assert elf.needed(patched(2, bytes(4), 0)) == ()  # PT_DYNAMIC becomes PT_NULL


def test_strings_in_no_segment_are_an_error() -> None:
    with pytest.raises(MalformedError, match="no segment with its strings"):
        elf.needed(patched(1, bytes(8), 32))  # PT_LOAD of no bytes
