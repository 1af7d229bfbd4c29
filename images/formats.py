"""What clouds want instead of a raw disk: a fixed VHD for Azure, a sparse tar for Google. Pure.

Both are made here, because the usual tools stamp the time and a random identifier into them.
"""

from __future__ import annotations

import struct

from images.disk import SECTOR
from runtime.errors import MalformedError

_VHD_EPOCH = 946_684_800  # 2000-01-01T00:00:00Z, "Virtual Hard Disk Image Format Specification" 1.0
_FIXED = 2


def vhd_footer(size: int, epoch: int, identifier: bytes) -> bytes:
    """Return the 512 bytes that make `size` bytes of disk a fixed VHD; `identifier` is 16 bytes.

    The creator is "win ": readers take the size from the footer then, not from the rounded geometry.
    """
    cylinders, heads, sectors = _geometry(size // SECTOR)

    def packed(checksum: int) -> bytes:
        return struct.pack(
            ">8sIIQI4sI4sQQHBBII16sB427x",
            b"conectix", 2, 0x0001_0000, 0xFFFF_FFFF_FFFF_FFFF, max(0, epoch - _VHD_EPOCH), b"win ",
            0x000A_0000, b"Wi2k", size, size, cylinders, heads, sectors, _FIXED, checksum, identifier, 0,
        )  # fmt: skip

    return packed(~sum(packed(0)) & 0xFFFF_FFFF)


def _geometry(total: int) -> tuple[int, int, int]:
    """Cylinders, heads, sectors per track, as the specification's appendix computes them."""
    total = min(total, 65535 * 16 * 255)
    if total >= 65535 * 16 * 63:
        sectors, heads = 255, 16
        return total // sectors // heads, heads, sectors
    sectors = 17
    through = total // sectors
    heads = max(4, -(-through // 1024))
    if through >= heads * 1024 or heads > 16:
        sectors, heads = 31, 16
        through = total // sectors
    if through >= heads * 1024:
        sectors, heads = 63, 16
        through = total // sectors
    return through // heads, heads, sectors


def sparse_tar_header(name: str, size: int, regions: tuple[tuple[int, int], ...], epoch: int) -> bytes:
    """Return the old GNU header of one sparse file: `regions` are (offset, bytes), in order.

    Raises: MalformedError for more than four regions, which would need a second header.
    """
    if len(regions) > 4:
        raise MalformedError("sparse file", f"has {len(regions)} regions, want at most 4")
    stored = sum(length for _, length in regions)
    table = b"".join(_octal(offset, 12) + _octal(length, 12) for offset, length in regions).ljust(96, b"\0")
    head = (
        name.encode().ljust(100, b"\0")
        + _octal(0o644, 8) + _octal(0, 8) + _octal(0, 8) + _octal(stored, 12) + _octal(epoch, 12)
        + b" " * 8 + b"S" + bytes(100) + b"ustar  \0" + bytes(32) + bytes(32) + bytes(16)
        + bytes(12) + bytes(12) + bytes(12) + bytes(4) + bytes(1) + table + bytes(1) + _octal(size, 12)
    )  # fmt: skip
    head = head.ljust(SECTOR, b"\0")
    return head[:148] + b"%06o\0 " % sum(head) + head[156:]


def _octal(value: int, width: int) -> bytes:
    return b"%0*o\0" % (width - 1, value)
