"""The certificate table that a host hands over with an extended SNP report. Pure.

AMD GHCB specification (56421), section 4.1.8.1: entries of GUID 16 ‖ u32 offset ‖ u32 length, little-endian,
closed by an entry of zeros; offsets count from the table's first byte. The host wrote it, so it is a hint:
nothing in it is believed before the path is verified. GUIDs come in the mixed order of UEFI and, on AWS, in
the order they are printed; both are read. Entries with other GUIDs are passed over, as the document asks.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from types import MappingProxyType
from uuid import UUID

from runtime.errors import MalformedError

MAX_ENTRIES = 32
_ENTRY = struct.Struct("<16sII")
_WHAT = "certificate table"

_NAMES = {
    "vcek": UUID("63da758d-e664-4564-adc5-f4b93be8accd"),
    "vlek": UUID("a8074bc2-a25a-483e-aae6-39c045a0b8a1"),
    "ask": UUID("4ab7b379-bbac-4fe4-a02f-05aef327c782"),
    "ark": UUID("c0b406a4-a803-4952-9743-3fb6014cd0ae"),
    "crl": UUID("92f81bc3-5811-4d3d-97ff-d19f88dc67ea"),
}
_GUIDS: Mapping[bytes, str] = MappingProxyType(
    {raw: name for name, guid in _NAMES.items() for raw in (guid.bytes, guid.bytes_le)}
)


def parse(data: bytes) -> dict[str, bytes]:
    """Return the known entries: vcek, vlek, ask (ASK or ASVK), ark, crl. Raises: MalformedError."""
    found: dict[str, bytes] = {}
    for index in range(MAX_ENTRIES + 1):
        start = index * _ENTRY.size
        if start + _ENTRY.size > len(data):
            raise MalformedError(_WHAT, "ends before its closing entry", offset=start)
        guid, offset, length = _ENTRY.unpack_from(data, start)
        if not any(guid) and offset == 0 and length == 0:
            return found
        if offset + length > len(data) or length == 0:
            raise MalformedError(_WHAT, f"has an entry of bytes {offset} to {offset + length}", offset=start)
        name = _GUIDS.get(guid)
        if name is None:
            continue
        if name in found:
            raise MalformedError(_WHAT, f"has two entries for {name}", offset=start)
        found[name] = data[offset : offset + length]
    raise MalformedError(_WHAT, f"has more than {MAX_ENTRIES} entries")
