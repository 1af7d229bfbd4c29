"""Event logs in the formats of TCG and UEFI, record by record. Pure."""

from __future__ import annotations

import struct

from runtime.attestation.eventlog import events
from runtime.attestation.eventlog.events import DIGEST_BYTES, SHA1, SHA256, SHA384

BOTH = (SHA256, SHA384)


def spec_id(
    banks: tuple[tuple[int, int], ...] = ((SHA384, 48),),
    *,
    count: int | None = None,
    vendor: bytes = b"",
    vendor_size: int | None = None,
) -> bytes:
    """Return a TCG_EfiSpecIdEvent."""
    out = b"Spec ID Event03\0" + bytes(4) + bytes([0, 2, 0, 2])
    out += struct.pack("<I", len(banks) if count is None else count)
    out += b"".join(struct.pack("<HH", algorithm, size) for algorithm, size in banks)
    return out + bytes([len(vendor) if vendor_size is None else vendor_size]) + vendor


def sha1_record(register: int, kind: int, data: bytes, digest: bytes | None = None) -> bytes:
    """Return a TCG_PCClientPCREvent; the digest is that of the data."""
    value = events.hash_of(SHA1, data) if digest is None else digest
    return struct.pack("<II", register, kind) + value + struct.pack("<I", len(data)) + data


def record(
    register: int,
    kind: int,
    data: bytes,
    *,
    digest: bytes | None = None,
    banks: tuple[int, ...] = (SHA384,),
) -> bytes:
    """Return a TCG_PCR_EVENT2; digests are those of the data unless one is given."""
    out = struct.pack("<III", register, kind, len(banks))
    for algorithm in banks:
        value = events.hash_of(algorithm, data) if digest is None else digest
        out += struct.pack("<H", algorithm) + value
    return out + struct.pack("<I", len(data)) + data


def log(
    *records: bytes, banks: tuple[int, ...] = (SHA384,), spec: bytes | None = None, register: int = 1
) -> bytes:
    """Return a crypto-agile log of the records."""
    body = spec_id(tuple((bank, DIGEST_BYTES[bank]) for bank in banks)) if spec is None else spec
    return sha1_record(register, 3, body, bytes(20)) + b"".join(records)
