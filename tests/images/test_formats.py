"""The fixed VHD and the sparse tar: deterministic, and read by the tools that clouds use."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from pathlib import Path
from shutil import which

import pytest

from images import formats
from images.disk import MIB
from runtime.errors import MalformedError

EPOCH = 1_793_491_200


def test_the_footer_sums_to_its_checksum() -> None:
    footer = formats.vhd_footer(88 * MIB, EPOCH, bytes(range(16)))
    assert len(footer) == 512
    assert footer[:8] == b"conectix"
    checksum = int.from_bytes(footer[64:68], "big")
    assert checksum == ~sum(footer[:64] + footer[68:]) & 0xFFFF_FFFF
    assert footer == formats.vhd_footer(88 * MIB, EPOCH, bytes(range(16)))


@pytest.mark.parametrize("mib", [3, 88, 1024, 200_000])
def test_geometry_never_says_more_than_there_is(mib: int) -> None:
    cylinders, heads, sectors = formats._geometry(mib * 2048)
    assert cylinders * heads * sectors <= mib * 2048
    assert cylinders <= 65535
    assert heads <= 16


@pytest.mark.skipif(which("qemu-img") is None, reason="no qemu-img on this machine")
def test_qemu_finds_the_vhd_equal_to_the_raw_disk(tmp_path: Path) -> None:
    raw = bytes(range(256)) * (7 * MIB // 256)
    (tmp_path / "raw").write_bytes(raw)
    (tmp_path / "vhd").write_bytes(raw + formats.vhd_footer(len(raw), EPOCH, bytes(16)))
    compare = ["qemu-img", "compare", "-f", "raw", "-F", "vpc", str(tmp_path / "raw"), str(tmp_path / "vhd")]
    assert b"identical" in subprocess.check_output(compare)
    info = json.loads(
        subprocess.check_output(["qemu-img", "info", "--output=json", "-f", "vpc", tmp_path / "vhd"])
    )
    assert info["virtual-size"] == len(raw)


def test_the_tar_holds_one_sparse_file() -> None:
    size, regions = 64 * MIB, ((0, MIB), (63 * MIB, MIB))
    data = formats.sparse_tar_header("disk.raw", size, regions, EPOCH) + b"a" * MIB + b"z" * MIB + bytes(1024)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        (entry,) = archive.getmembers()
        assert (entry.name, entry.size, entry.mtime, entry.uid) == ("disk.raw", size, EPOCH, 0)
        content = archive.extractfile(entry)
        assert content is not None
        read = content.read()
    assert read[:MIB] == b"a" * MIB
    assert read[-MIB:] == b"z" * MIB
    assert read[MIB:-MIB].strip(b"\0") == b""


@pytest.mark.skipif(which("tar") is None, reason="no tar on this machine")
def test_gnu_tar_reads_it(tmp_path: Path) -> None:
    data = formats.sparse_tar_header("disk.raw", 4 * MIB, ((0, 512), (3 * MIB, MIB)), EPOCH)
    (tmp_path / "x.tar").write_bytes(data + b"a" * 512 + b"z" * MIB + bytes(1024))
    subprocess.run(["tar", "xf", tmp_path / "x.tar", "-C", tmp_path], check=True)
    assert (tmp_path / "disk.raw").stat().st_size == 4 * MIB


def test_too_many_regions_are_refused() -> None:
    with pytest.raises(MalformedError, match="at most 4"):
        formats.sparse_tar_header("x", 10240, tuple((i * 1024, 512) for i in range(5)), 0)
