"""The launch digest, held against sev-snp-measure on a made firmware and, where there is one, on OVMF."""

from __future__ import annotations

import struct
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sevsnpmeasure import guest
from sevsnpmeasure.sev_mode import SevMode
from sevsnpmeasure.vmm_types import VMMType

from images.measure import snp_launch
from runtime.errors import MalformedError

MILAN = 0x00A0_0F11


def entry(guid: str, data: bytes) -> bytes:
    return data + struct.pack("<H", len(data) + 18) + uuid.UUID(guid).bytes_le


def firmware(*, version: int = 1, kind: int = 1) -> bytes:
    """Two pages with OVMF's table and metadata."""
    sections = [(0x800000, 8192, kind), (0x80D000, 4096, 2), (0x80E000, 4096, 3), (0x810000, 4096, 0x10)]
    metadata = struct.pack("<4sIII", b"ASEV", 16 + 12 * len(sections), version, len(sections))
    metadata += b"".join(struct.pack("<III", *section) for section in sections)
    body = bytearray(b"\x5a" * 8192)
    at = 1024
    body[at : at + len(metadata)] = metadata
    table = entry("dc886566-984a-4798-a75e-5585a7bf67cc", struct.pack("<I", len(body) - at))
    table += entry("00f771de-1a7e-4fcb-890e-68c77e2fb44e", struct.pack("<I", 0x0080_B004))
    table += struct.pack("<H", len(table) + 18) + uuid.UUID("96b582de-1fb2-45f7-baea-a366c55a082d").bytes_le
    body[-32 - len(table) : -32] = table
    return bytes(body)


def independent(path: Path, vcpus: int, kind: VMMType) -> bytes:
    found: bytes = guest.calc_launch_digest(
        SevMode.SEV_SNP, vcpus, MILAN, str(path), "", "", "", 1, vmm_type=kind
    )
    return found


CASES = [("aws", VMMType.ec2), ("qemu", VMMType.QEMU)]


@pytest.mark.parametrize("vcpus", [1, 2, 8])
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_equal_to_an_independent_program(
    tmp_path: Path, name: snp_launch.Hypervisor, kind: VMMType, vcpus: int
) -> None:
    (tmp_path / "fw").write_bytes(firmware())
    ours = snp_launch.digest(firmware(), vcpus=vcpus, signature=MILAN, hypervisor=name)
    assert ours == independent(tmp_path / "fw", vcpus, kind)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_equal_on_a_real_firmware(name: snp_launch.Hypervisor, kind: VMMType) -> None:
    path = Path("/usr/share/ovmf/OVMF.fd")
    if not path.exists():
        pytest.skip("no OVMF on this machine: images/install")
    ours = snp_launch.digest(path.read_bytes(), vcpus=2, signature=MILAN, hypervisor=name)
    assert ours == independent(path, 2, kind)


def test_everything_that_is_covered_changes_it() -> None:
    def digest(data: bytes, vcpus: int = 2, features: int = 1) -> bytes:
        return snp_launch.digest(data, vcpus=vcpus, signature=MILAN, hypervisor="aws", features=features)

    base = digest(firmware())
    other = bytearray(firmware())
    other[0] ^= 1
    assert len({base, digest(bytes(other)), digest(firmware(), 4), digest(firmware(), 2, 0x21)}) == 4


@pytest.mark.parametrize(
    "data", [b"", bytes(100), bytes(8192), firmware(version=2), firmware(kind=77)], ids=range(5)
)
def test_firmware_without_metadata_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        snp_launch.digest(data, vcpus=1, signature=MILAN, hypervisor="aws")


@given(st.integers(0, 8191), st.binary(min_size=1, max_size=20))
def test_firmware_is_read_or_refused(at: int, patch: bytes) -> None:
    data = (firmware()[:at] + patch + firmware()[at + len(patch) :])[:8192].ljust(8192, b"\0")
    try:
        assert len(snp_launch.digest(data, vcpus=1, signature=MILAN, hypervisor="aws")) == 48
    except MalformedError as error:
        assert str(error)


@pytest.mark.parametrize("length", [0, 17, 5000])
def test_an_entry_that_reaches_out_of_its_table_is_refused(length: int) -> None:
    data = bytearray(firmware())
    last = len(data) - 32 - 18  # the footer's size; the entry before it ends there
    struct.pack_into("<H", data, last - 18, length)
    with pytest.raises(MalformedError, match=f"entry of {length} bytes"):
        snp_launch.digest(bytes(data), vcpus=1, signature=MILAN, hypervisor="aws")


def test_firmware_without_a_table_is_refused() -> None:
    with pytest.raises(MalformedError, match="no table of SEV-SNP metadata"):
        snp_launch.digest(bytes(8192), vcpus=1, signature=MILAN, hypervisor="aws")
