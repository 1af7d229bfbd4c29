"""Lay out the disk: GPT with the ESP, the root and its hash tree (UEFI 2.10 §5.3). Pure.

Every identifier is fixed or comes from the root hash, so the same parts make the same disk.
"""

from __future__ import annotations

import struct
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

MIB = 1 << 20
GIB = 1 << 30
SECTOR = 512
_ENTRIES, _ENTRY_SIZE = 128, 128
_TABLE_SECTORS = _ENTRIES * _ENTRY_SIZE // SECTOR
_DISK_ID = uuid.UUID("8c1d5f1e-0c2b-4a53-9a55-2f5d7c6b1a01")
_ESP_ID = uuid.UUID("8c1d5f1e-0c2b-4a53-9a55-2f5d7c6b1a02")
_ESP_TYPE = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
_ROOT_TYPE = uuid.UUID("4f68bce3-e8cd-4db1-96e7-fbcaf984b709")  # Discoverable Partitions: root, x86-64
_VERITY_TYPE = uuid.UUID("2c7357ed-ebd2-46d9-aec1-23d437ec2bf5")
_READ_ONLY = 1 << 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """One partition: where it lies, in bytes, and how it is named."""

    name: str
    type: uuid.UUID
    id: uuid.UUID
    start: int
    size: int
    attributes: int = 0


def up(value: int, alignment: int = MIB) -> int:
    """Round up."""
    return -(-value // alignment) * alignment


def layout(sizes: Sequence[int], root_hash: str) -> tuple[Partition, ...]:
    """Place ESP, root and hash tree of these sizes in bytes; the root hash is 64 hexadecimal digits."""
    kinds = (
        ("esp", _ESP_TYPE, _ESP_ID, 0),
        (f"r-{root_hash[:32]}", _ROOT_TYPE, uuid.UUID(root_hash[:32]), _READ_ONLY),
        (f"v-{root_hash[:32]}", _VERITY_TYPE, uuid.UUID(root_hash[32:]), _READ_ONLY),
    )
    placed: list[Partition] = []
    at = MIB
    for (name, kind, identifier, attributes), size in zip(kinds, sizes, strict=True):
        placed.append(
            Partition(name=name, type=kind, id=identifier, start=at, size=up(size), attributes=attributes)
        )
        at += up(size)
    return tuple(placed)


def size_of(partitions: Sequence[Partition]) -> int:
    """Return the disk's least size in bytes: one MiB stays for the second table."""
    return partitions[-1].start + partitions[-1].size + MIB


def tables(partitions: Sequence[Partition], size: int) -> tuple[bytes, bytes]:
    """Return the first 34 sectors of a disk of `size` bytes, and its last 33."""
    last = size // SECTOR - 1
    entries = b"".join(_entry(partition) for partition in partitions).ljust(_ENTRIES * _ENTRY_SIZE, b"\0")
    first = _header(1, last, 2, entries, last)
    second = _header(last, 1, last - _TABLE_SECTORS, entries, last)
    return _protective(last) + first + entries, entries + second


def _entry(partition: Partition) -> bytes:
    return struct.pack(
        "<16s16sQQQ72s",
        partition.type.bytes_le,
        partition.id.bytes_le,
        partition.start // SECTOR,
        (partition.start + partition.size) // SECTOR - 1,
        partition.attributes,
        partition.name.encode("utf-16-le"),
    )


def _header(mine: int, other: int, table: int, entries: bytes, last: int) -> bytes:
    def packed(checksum: int) -> bytes:
        return struct.pack(
            "<8sIIIIQQQQ16sQIII",
            b"EFI PART", 0x10000, 92, checksum, 0, mine, other, 2 + _TABLE_SECTORS, last - _TABLE_SECTORS - 1,
            _DISK_ID.bytes_le, table, _ENTRIES, _ENTRY_SIZE, zlib.crc32(entries),
        )  # fmt: skip

    return packed(zlib.crc32(packed(0))).ljust(SECTOR, b"\0")


def _protective(last: int) -> bytes:
    record = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xEE, b"\xff\xff\xff", 1, min(last, 0xFFFF_FFFF))
    return bytes(446) + record + bytes(48) + b"\x55\xaa"
