"""Read a PE32+ file as firmware does: headers, sections, and the Authenticode digest. Pure.

Microsoft, "PE Format" (offsets) and "Windows Authenticode Portable Executable Signature Format" §"Calculating
the PE Image Hash": the checksum, the security directory's entry and the certificates themselves are left out.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import Literal

from runtime.errors import MalformedError

Hash = Literal["sha256", "sha384"]
HASHES: tuple[Hash, ...] = ("sha256", "sha384")
SECTION_SIZE = 40  # bytes of one section header
PE32_PLUS = 0x20B
_MAX_SECTIONS = 96
_SECURITY = 4  # index of the certificate table among the data directories


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One section header, and the bytes in the file."""

    name: str
    virtual_size: int
    virtual_address: int
    raw_size: int
    raw_offset: int
    data: bytes  # at most virtual_size bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A PE32+ file, read."""

    raw: bytes
    header: int  # offset of "PE\0\0"
    optional: int  # offset of the optional header
    section_table: int
    section_alignment: int
    file_alignment: int
    headers_size: int
    sections: tuple[Section, ...]

    def section(self, name: str) -> Section | None:
        """Return the first section of this name."""
        return next((section for section in self.sections if section.name == name), None)


def read(raw: bytes) -> Image:
    """Read a PE32+ file. Raises: MalformedError."""
    try:
        return _read(raw)
    except struct.error as error:
        raise MalformedError("PE file", f"is truncated: {error}") from error


def _read(raw: bytes) -> Image:
    if raw[:2] != b"MZ":
        raise MalformedError("PE file", "does not begin with MZ", offset=0)
    (header,) = struct.unpack_from("<I", raw, 0x3C)
    if raw[header : header + 4] != b"PE\0\0":
        raise MalformedError("PE file", "has no PE signature", offset=header)
    count, optional_size = (
        struct.unpack_from("<H", raw, header + 6)[0],
        struct.unpack_from("<H", raw, header + 20)[0],
    )
    optional = header + 24
    (magic,) = struct.unpack_from("<H", raw, optional)
    if magic != PE32_PLUS:
        raise MalformedError("PE file", f"optional header is {magic:#x}, want {PE32_PLUS:#x} (PE32+)")
    if not 0 < count <= _MAX_SECTIONS:
        raise MalformedError("PE file", f"has {count} sections, want 1 to {_MAX_SECTIONS}")
    (directories,) = struct.unpack_from("<I", raw, optional + 108)
    if directories <= _SECURITY or optional_size < 112 + 8 * (_SECURITY + 1):
        raise MalformedError("PE file", "has no entry for certificates")
    section_alignment, file_alignment = struct.unpack_from("<II", raw, optional + 32)
    (headers_size,) = struct.unpack_from("<I", raw, optional + 60)
    table = optional + optional_size
    if not table + count * SECTION_SIZE <= headers_size <= len(raw) or 0 in (
        section_alignment,
        file_alignment,
    ):
        raise MalformedError("PE file", f"headers say {headers_size} bytes, which cannot be")
    return Image(
        raw=raw,
        header=header,
        optional=optional,
        section_table=table,
        section_alignment=section_alignment,
        file_alignment=file_alignment,
        headers_size=headers_size,
        sections=tuple(_section(raw, table + index * SECTION_SIZE) for index in range(count)),
    )


def _section(raw: bytes, at: int) -> Section:
    name, virtual_size, address, raw_size, offset = struct.unpack_from("<8sIIII", raw, at)
    if offset + raw_size > len(raw):
        raise MalformedError("PE file", f"section ends at {offset + raw_size} of {len(raw)}", offset=at)
    return Section(
        name=name.rstrip(b"\0").decode("latin-1"),
        virtual_size=virtual_size,
        virtual_address=address,
        raw_size=raw_size,
        raw_offset=offset,
        data=raw[offset : offset + min(raw_size, virtual_size)],
    )


def authenticode(image: Image, algorithm: Hash) -> bytes:
    """Return the digest that firmware measures when it loads this file. Raises: MalformedError."""
    raw = image.raw
    checksum = image.optional + 64
    security = image.optional + 112 + 8 * _SECURITY
    (certificates,) = struct.unpack_from("<I", raw, security + 4)
    digest = hashlib.new(algorithm)
    digest.update(raw[:checksum])
    digest.update(raw[checksum + 4 : security])
    digest.update(raw[security + 8 : image.headers_size])
    hashed = image.headers_size
    for section in sorted(image.sections, key=lambda section: section.raw_offset):
        if section.raw_size:
            digest.update(raw[section.raw_offset : section.raw_offset + section.raw_size])
            hashed += section.raw_size
    rest = len(raw) - hashed - certificates
    if rest < 0:
        raise MalformedError("PE file", "sections overlap, or certificates are larger than the file")
    digest.update(raw[hashed : hashed + rest])
    return digest.digest()
