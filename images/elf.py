"""Tell which libraries a program wants: the DT_NEEDED entries of a 64-bit ELF file (elf(5)). Pure."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable

from runtime.errors import MalformedError

_DYNAMIC, _LOAD = 2, 1
_NEEDED, _STRINGS = 1, 5


def needed(data: bytes) -> tuple[str, ...]:
    """Return the names, in order; none for what is no ELF file. Raises: MalformedError."""
    if data[:6] != b"\x7fELF\x02\x01":
        return ()
    try:
        return _needed(data)
    except (struct.error, ValueError, OverflowError) as error:
        raise MalformedError("ELF file", f"is truncated or broken: {error}") from error


def _needed(data: bytes) -> tuple[str, ...]:
    (table,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    headers = [struct.unpack_from("<IIQQQQQQ", data, table + index * size) for index in range(count)]
    dynamic = next((header for header in headers if header[0] == _DYNAMIC), None)
    if dynamic is None:
        return ()
    entries = [
        struct.unpack_from("<QQ", data, dynamic[2] + at) for at in range(0, dynamic[5] - dynamic[5] % 16, 16)
    ]
    address = next((value for tag, value in entries if tag == _STRINGS), 0)
    places = [
        header[2] + address - header[3]
        for header in headers
        if header[0] == _LOAD and header[3] <= address < header[3] + header[5]
    ]
    if not places:
        raise MalformedError("ELF file", f"has no segment with its strings, at {address:#x}")
    strings = places[0]
    names = [strings + value for tag, value in entries if tag == _NEEDED]
    return tuple(data[at : data.index(b"\0", at)].decode("ascii") for at in names)


def closure(programs: Iterable[bytes], read: Callable[[str], bytes | None]) -> tuple[str, ...]:
    """Return every library the programs need, sorted; `read` finds one by name.

    Raises: MalformedError that names the libraries nobody has.
    """
    found: dict[str, bytes] = {}
    missing: set[str] = set()
    waiting = [name for program in programs for name in needed(program)]
    while waiting:
        name = waiting.pop()
        if name in found or name in missing:
            continue
        data = read(name)
        if data is None:
            missing.add(name)
            continue
        found[name] = data
        waiting += needed(data)
    if missing:
        raise MalformedError(
            "programs", f"need {', '.join(sorted(missing))}, which no package of the room has"
        )
    return tuple(sorted(found))
