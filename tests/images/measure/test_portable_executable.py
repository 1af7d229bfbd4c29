"""PE files: sections and Authenticode digests, and anything else refused."""

from __future__ import annotations

import contextlib
import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from images.measure import portable_executable as pe
from runtime.errors import MalformedError
from tests.images import doubles

FILE = doubles.pe_file(((".text", b"a" * 700), (".data", b"b" * 10)))


def test_sections() -> None:
    image = pe.read(FILE)
    assert [(s.name, s.data) for s in image.sections] == [(".text", b"a" * 700), (".data", b"b" * 10)]
    assert image.section(".text") == image.sections[0]
    assert image.section(".none") is None


def test_the_digest_leaves_out_checksum_and_certificates() -> None:
    image = pe.read(FILE)
    checksum, security = image.optional + 64, image.optional + 112 + 32
    want = hashlib.sha256(FILE[:checksum] + FILE[checksum + 4 : security] + FILE[security + 8 :]).digest()
    assert pe.authenticode(image, "sha256") == want
    changed = bytearray(FILE)
    changed[checksum : checksum + 4] = b"\1\2\3\4"
    assert pe.authenticode(pe.read(bytes(changed)), "sha256") == want
    signed = bytearray(FILE)
    struct.pack_into("<II", signed, security, len(FILE), 16)
    assert pe.authenticode(pe.read(bytes(signed) + b"c" * 16), "sha256") == want


def test_every_other_byte_counts() -> None:
    want = pe.authenticode(pe.read(FILE), "sha384")
    for at in (0x40, pe.read(FILE).section_table + 41 * 5, len(FILE) - 1):
        changed = bytearray(FILE)
        changed[at] ^= 1
        assert pe.authenticode(pe.read(bytes(changed)), "sha384") != want
    assert pe.authenticode(pe.read(FILE + b"after"), "sha384") != want


@pytest.mark.parametrize("cut", [0, 1, 0x3D, 0x80, 0x98, 0x100, len(FILE) - 600])
def test_a_truncated_file_is_refused(cut: int) -> None:
    with pytest.raises(MalformedError):
        pe.read(FILE[:cut])


OPTIONAL = pe.read(FILE).optional
TABLE = pe.read(FILE).section_table


@pytest.mark.parametrize(
    ("at", "form", "value", "said"),
    [
        (0, "<H", 0x4D5A, "does not begin with MZ"),
        (OPTIONAL - 24, "<I", 0, "has no PE signature"),
        (OPTIONAL - 18, "<H", 0, "has 0 sections, want 1 to 96"),
        (OPTIONAL - 18, "<H", 97, "has 97 sections, want 1 to 96"),
        (OPTIONAL, "<H", 0x10B, "optional header is 0x10b, want 0x20b (PE32+)"),
        (OPTIONAL + 108, "<I", 4, "has no entry for certificates"),
        (OPTIONAL - 4, "<H", 151, "has no entry for certificates"),
        (OPTIONAL + 60, "<I", TABLE, f"headers say {TABLE} bytes, which cannot be"),
        (OPTIONAL + 60, "<I", len(FILE) + 1, f"headers say {len(FILE) + 1} bytes, which cannot be"),
        (OPTIONAL + 32, "<I", 0, "headers say 1024 bytes, which cannot be"),
        (TABLE + 16, "<I", len(FILE), "section ends at"),
    ],
)
def test_a_header_that_cannot_be_is_refused_by_name(at: int, form: str, value: int, said: str) -> None:
    changed = bytearray(FILE)
    struct.pack_into(form, changed, at, value)
    with pytest.raises(MalformedError) as caught:
        pe.read(bytes(changed))
    assert said in str(caught.value)


@given(st.integers(0, 0x200), st.binary(min_size=1, max_size=8))
def test_headers_are_read_or_refused(at: int, patch: bytes) -> None:
    with contextlib.suppress(MalformedError):
        pe.authenticode(pe.read(FILE[:at] + patch + FILE[at + len(patch) :]), "sha256")


def test_a_section_without_bytes_is_not_part_of_the_digest() -> None:
    image = pe.read(FILE)
    size = image.section_table + pe.SECTION_SIZE + 16  # SizeOfRawData of the second one
    end = image.sections[1].raw_offset
    short = bytearray(FILE[:end])
    struct.pack_into("<I", short, size, 0)
    checksum, security = image.optional + 64, image.optional + 112 + 32
    hashed = short[:checksum] + short[checksum + 4 : security] + short[security + 8 :]
    assert pe.authenticode(pe.read(bytes(short)), "sha256") == hashlib.sha256(hashed).digest()
