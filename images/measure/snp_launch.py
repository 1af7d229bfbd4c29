"""Predict the SEV-SNP launch digest of a firmware on AWS or QEMU. Pure.

It covers firmware pages, the pages that the firmware's metadata lists, and one VMSA for each vCPU; nothing of
our image (AMD 56860, SNP_LAUNCH_UPDATE and PAGE_INFO; the save area's offsets are those of AMD's Architecture
Programmer's Manual 2, table B-4). How a hypervisor sets a vCPU's first registers is its own choice: those of
AWS are what sev-snp-measure knows of it, and the tests hold ours against it.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha384
from typing import Literal

from runtime.errors import MalformedError

Hypervisor = Literal["aws", "qemu"]
PAGE = 4096
_FOUR_GIB = 1 << 32
_VMSA_ADDRESS = 0xFFFF_FFFF_F000
_NORMAL, _VMSA, _ZERO, _SECRETS, _CPUID = 1, 2, 3, 5, 6
_TABLE_END = 32  # bytes between the GUIDed table and the end of the firmware
_FOOTER = uuid.UUID("96b582de-1fb2-45f7-baea-a366c55a082d").bytes_le
_RESET = uuid.UUID("00f771de-1a7e-4fcb-890e-68c77e2fb44e").bytes_le
_METADATA = uuid.UUID("dc886566-984a-4798-a75e-5585a7bf67cc").bytes_le
_WHAT = "firmware"


@dataclass(frozen=True, slots=True)
class _Registers:
    """What differs between hypervisors in a new vCPU."""

    ss_attributes: int
    tr_attributes: int
    rdx: int | None  # None: the CPUID signature
    mxcsr: int
    x87_control: int


_FIRST: Mapping[Hypervisor, _Registers] = {
    "aws": _Registers(0x92, 0x83, 0x600, 0, 0),
    "qemu": _Registers(0x93, 0x8B, None, 0x1F80, 0x37F),
}
_BSP_START = 0xFFFF_FFF0


def digest(
    firmware: bytes, *, vcpus: int, signature: int, hypervisor: Hypervisor, features: int = 1
) -> bytes:
    """Return the launch digest, 48 bytes.

    `signature` is CPUID leaf 1's EAX (QEMU puts it into RDX), `features` the SEV features of the vCPUs.
    Raises: MalformedError for a firmware without SEV-SNP metadata.
    """
    if len(firmware) % PAGE or not 1 <= vcpus <= 512:
        raise MalformedError(
            _WHAT, f"is {len(firmware)} bytes for {vcpus} vCPUs, want whole pages and 1 to 512"
        )
    try:
        table = dict(_entries(firmware))
        reset = int.from_bytes(table[_RESET][:4], "little")
        sections = _sections(firmware, table[_METADATA])
    except (KeyError, struct.error, IndexError) as error:
        raise MalformedError(_WHAT, "has no table of SEV-SNP metadata") from error
    state = bytes(48)
    start = _FOUR_GIB - len(firmware)
    for at in range(0, len(firmware), PAGE):
        state = _update(state, _NORMAL, start + at, sha384(firmware[at : at + PAGE]).digest())
    for kind, address in _pages(sections, hypervisor):
        state = _update(state, kind, address, bytes(48))
    for index in range(vcpus):
        page = _save_area(_BSP_START if index == 0 else reset, signature, hypervisor, features)
        state = _update(state, _VMSA, _VMSA_ADDRESS, sha384(page).digest())
    return state


def _update(state: bytes, kind: int, address: int, contents: bytes) -> bytes:
    return sha384(state + contents + struct.pack("<HBBBBBBQ", 0x70, kind, 0, 0, 0, 0, 0, address)).digest()


def _entries(firmware: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield GUID and data of OVMF's table, which is read from its end: data, u16 size, GUID."""
    end = len(firmware) - _TABLE_END
    size, guid = struct.unpack_from("<H16s", firmware, end - 18)
    if guid != _FOOTER:
        return
    at, first = end - 18, end - size
    while at - 18 >= first:
        length, guid = struct.unpack_from("<H16s", firmware, at - 18)
        if not 18 <= length <= at - first:
            raise MalformedError(_WHAT, f"has an entry of {length} bytes in its table", offset=at)
        yield guid, firmware[at - length : at - 18]
        at -= length


def _sections(firmware: bytes, entry: bytes) -> list[tuple[int, int, int]]:
    start = len(firmware) - int.from_bytes(entry[:4], "little")
    magic, _, version, count = struct.unpack_from("<4sIII", firmware, start)
    if magic != b"ASEV" or version != 1 or count > 64:
        raise MalformedError(_WHAT, "has metadata that is not version 1", offset=start)
    return [struct.unpack_from("<III", firmware, start + 16 + 12 * index) for index in range(count)]


def _pages(sections: list[tuple[int, int, int]], hypervisor: Hypervisor) -> Iterator[tuple[int, int]]:
    """Yield page type and address; AWS gives the CPUID page last."""
    last: list[tuple[int, int]] = []
    for address, size, kind in sections:
        if kind in (1, 4, 0x10):  # memory, calling areas, kernel hashes that are not used
            yield from ((_ZERO, at) for at in range(address, address + size, PAGE))
        elif kind == 2:
            yield _SECRETS, address
        elif kind == 3 and hypervisor == "aws":
            last.append((_CPUID, address))
        elif kind == 3:
            yield _CPUID, address
        else:
            raise MalformedError(_WHAT, f"has metadata of the unknown kind {kind}")
    yield from last


def _save_area(start: int, signature: int, hypervisor: Hypervisor, features: int) -> bytes:
    first = _FIRST[hypervisor]
    cs = 0x9A if hypervisor == "aws" and start == _BSP_START else 0x9B
    page = bytearray(PAGE)

    def segment(at: int, selector: int, attributes: int, limit: int, base: int) -> None:
        struct.pack_into("<HHIQ", page, at, selector, attributes, limit, base)

    for at in (0x00, 0x30, 0x40, 0x50):  # ES, DS, FS, GS
        segment(at, 0, 0x93, 0xFFFF, 0)
    segment(0x10, 0xF000, cs, 0xFFFF, start & 0xFFFF_0000)
    segment(0x20, 0, first.ss_attributes, 0xFFFF, 0)
    segment(0x60, 0, 0, 0xFFFF, 0)  # GDTR
    segment(0x70, 0, 0x82, 0xFFFF, 0)  # LDTR
    segment(0x80, 0, 0, 0xFFFF, 0)  # IDTR
    segment(0x90, 0, first.tr_attributes, 0xFFFF, 0)
    for at, value in (
        (0xD0, 0x1000),  # EFER: SVME
        (0x148, 0x40),  # CR4: MCE
        (0x158, 0x10),  # CR0
        (0x160, 0x400),  # DR7
        (0x168, 0xFFFF_0FF0),  # DR6
        (0x170, 2),  # RFLAGS
        (0x178, start & 0xFFFF),  # RIP
        (0x268, 0x0007_0406_0007_0406),  # PAT
        (0x310, signature if first.rdx is None else first.rdx),  # RDX
        (0x3B0, features),
        (0x3E8, 1),  # XCR0
    ):
        struct.pack_into("<Q", page, at, value)
    struct.pack_into("<I", page, 0x408, first.mxcsr)
    struct.pack_into("<H", page, 0x410, first.x87_control)
    return bytes(page)
