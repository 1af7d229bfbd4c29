"""Evidence as it travels: one spelling, every item in bounds, nothing believed. Pure.

docs/protocol.md, section 5; integers are big-endian:

    | bytes | field                                                                     |
    |-------|---------------------------------------------------------------------------|
    | 4     | "CTE1"                                                                    |
    | 1 + n | length and name of the format, ASCII                                      |
    | then, per item, in ascending order of (kind, name), so that no item comes twice:  |
    | 1     | kind: 1 a signed part, 2 an endorsement                                   |
    | 1 + n | length and name, ASCII: one of those the format knows                     |
    | 4 + n | length and bytes, 1 up to what `formats` says of this item                  |
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from runtime.attestation.formats import FORMATS, Format
from runtime.errors import MalformedError, UnsupportedFormatError

MAX_EVIDENCE_SIZE = 256 * 1024  # bytes; an SNP report with its chain is under 16 KiB, a log under 128 KiB

_MAGIC = b"CTE1"
_PART, _ENDORSEMENT = 1, 2
_WHAT = "evidence"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What an Attester hands over: signed parts, and the Endorsements that travel with them."""

    format: str
    parts: Mapping[str, bytes]
    endorsements: Mapping[str, bytes]


def encode(evidence: Evidence) -> bytes:
    """Return the wire form. Raises: MalformedError for an unknown format or name, or too many bytes."""
    _check_names(evidence)
    name = evidence.format.encode("ascii")
    out = [_MAGIC, bytes([len(name)]), name]
    for kind, items in ((_PART, evidence.parts), (_ENDORSEMENT, evidence.endorsements)):
        for item, value in sorted(items.items()):
            out.append(
                struct.pack(">BB", kind, len(item)) + item.encode("ascii") + struct.pack(">I", len(value))
            )
            out.append(value)
    data = b"".join(out)
    if len(data) > MAX_EVIDENCE_SIZE:
        raise MalformedError(_WHAT, f"is {len(data)} bytes, want at most {MAX_EVIDENCE_SIZE}")
    return data


def decode(data: bytes) -> Evidence:
    """Read the wire form: exactly one spelling, nothing behind it. Raises: MalformedError."""
    if len(data) > MAX_EVIDENCE_SIZE:
        raise MalformedError(_WHAT, f"is {len(data)} bytes, want at most {MAX_EVIDENCE_SIZE}")
    reader = _Reader(data)
    if reader.take(4, "the magic") != _MAGIC:
        raise MalformedError(_WHAT, "does not begin with CTE1", offset=0)
    name = reader.name()
    known = _known(name)
    items: dict[int, dict[str, bytes]] = {_PART: {}, _ENDORSEMENT: {}}
    last = (0, "")
    while reader.offset < len(data):
        start = reader.offset
        kind = reader.take(1, "a kind")[0]
        if kind not in items:
            raise MalformedError(_WHAT, f"has an item of kind {kind}, want 1 or 2", offset=start)
        item = reader.name()
        if (kind, item) <= last:
            raise MalformedError(_WHAT, f"has {item!r} twice or out of order", offset=start)
        last = (kind, item)
        size, most = int.from_bytes(reader.take(4, "a length"), "big"), _most(known, kind, item)
        if not 1 <= size <= most:
            raise MalformedError(_WHAT, f"{item} is {size} bytes, want 1 to {most}", offset=start)
        items[kind][item] = reader.take(size, item)
    evidence = Evidence(format=name, parts=items[_PART], endorsements=items[_ENDORSEMENT])
    _check_names(evidence)
    return evidence


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.offset = data, 0

    def take(self, size: int, what: str) -> bytes:
        end = self.offset + size
        if end > len(self.data):
            raise MalformedError(_WHAT, f"ends inside {what}", offset=self.offset)
        start, self.offset = self.offset, end
        return self.data[start:end]

    def name(self) -> str:
        start = self.offset
        raw = self.take(self.take(1, "a name's length")[0], "a name")
        if not raw.isascii() or not raw:
            raise MalformedError(_WHAT, "has a name that is empty or not ASCII", offset=start)
        return raw.decode("ascii")


def _known(name: str) -> Format:
    known = FORMATS.get(name)
    if known is None:
        raise UnsupportedFormatError(_WHAT, f"has the format {name!r}, want one of {sorted(FORMATS)}")
    return known


def _most(known: Format, kind: int, item: str) -> int:
    """Return how many bytes the item may have. Raises: MalformedError for a name the format does not know."""
    most = (known.parts if kind == _PART else known.endorsements).get(item)
    if most is None:
        what = "part" if kind == _PART else "endorsement"
        raise MalformedError(_WHAT, f"has the unknown {what} {item!r}")
    return most


def _check_names(evidence: Evidence) -> None:
    known = _known(evidence.format)
    if set(evidence.parts) != set(known.parts):
        raise MalformedError(_WHAT, f"has the parts {sorted(evidence.parts)}, want {sorted(known.parts)}")
    for kind, items in ((_PART, evidence.parts), (_ENDORSEMENT, evidence.endorsements)):
        for item, value in items.items():
            if not 1 <= len(value) <= _most(known, kind, item):
                raise MalformedError(
                    _WHAT, f"{item} is {len(value)} bytes, want 1 to {_most(known, kind, item)}"
                )
