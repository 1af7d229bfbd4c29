"""Assemble the Unified Kernel Image: the stub with our sections appended (UAPI.5). Pure."""

from __future__ import annotations

import struct

from images.measure import portable_executable as pe
from runtime.errors import MalformedError

_CODE, _DATA, _READ = 0x20, 0x40, 0x4000_0000


def assemble(stub: bytes, sections: tuple[tuple[str, bytes], ...]) -> bytes:
    """Return the stub with these sections, in this order. Raises: MalformedError."""
    image = pe.read(stub)
    table_end = image.section_table + (len(image.sections) + len(sections)) * pe.SECTION_SIZE
    if table_end > image.headers_size:
        raise MalformedError("stub", f"has headers of {image.headers_size} bytes, want {table_end}")
    taken = {section.name for section in image.sections}
    out = bytearray(stub)
    _pad(out, image.file_alignment)
    last = max(image.sections, key=lambda section: section.virtual_address)
    address = _up(last.virtual_address + last.virtual_size, image.section_alignment)
    headers = bytearray()
    for name, data in sections:
        if name in taken or len(name) > 8 or not data:
            raise MalformedError("stub", f"cannot take section {name}: there already, too long or empty")
        taken.add(name)
        headers += struct.pack(
            "<8sIIIIIIHHI",
            name.encode(), len(data), address, _up(len(data), image.file_alignment), len(out), 0, 0, 0, 0,
            _READ | (_CODE if name == ".linux" else _DATA),
        )  # fmt: skip
        out += data
        _pad(out, image.file_alignment)
        address = _up(address + len(data), image.section_alignment)
    at = image.section_table + len(image.sections) * pe.SECTION_SIZE
    out[at : at + len(headers)] = headers
    struct.pack_into("<H", out, image.header + 6, len(image.sections) + len(sections))
    struct.pack_into("<I", out, image.optional + 56, address)  # SizeOfImage
    struct.pack_into("<I", out, image.optional + 64, 0)  # CheckSum: nobody reads it
    return bytes(out)


def _up(value: int, alignment: int) -> int:
    return -(-value // alignment) * alignment


def _pad(out: bytearray, alignment: int) -> None:
    out += bytes(-len(out) % alignment)
