"""The partition table: where parts lie, and that sfdisk and firmware would read it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from shutil import which

import pytest

from images import disk

HASH = "0123456789abcdef" * 4


def test_parts_lie_on_whole_mebibytes_in_order() -> None:
    parts = disk.layout([34 * disk.MIB, 10 * disk.MIB + 1, 4096], HASH)
    assert [(p.name, p.start // disk.MIB, p.size // disk.MIB) for p in parts] == [
        ("esp", 1, 34),
        (f"r-{HASH[:32]}", 35, 11),
        (f"v-{HASH[:32]}", 46, 1),
    ]
    assert disk.size_of(parts) == 48 * disk.MIB


@pytest.mark.skipif(which("sfdisk") is None, reason="no sfdisk on this machine")
@pytest.mark.parametrize("size", [48 * disk.MIB, disk.GIB])
def test_sfdisk_reads_it_and_finds_nothing_wrong(tmp_path: Path, size: int) -> None:
    parts = disk.layout([34 * disk.MIB, 10 * disk.MIB + 1, 4096], HASH)
    first, last = disk.tables(parts, size)
    target = tmp_path / "disk"
    with target.open("wb") as file:
        file.truncate(size)
        file.write(first)
        file.seek(size - len(last))
        file.write(last)
    found = json.loads(subprocess.check_output(["sfdisk", "--json", target]))["partitiontable"]
    assert found["label"] == "gpt"
    assert [(p["name"], p["start"] * 512, p["size"] * 512) for p in found["partitions"]] == [
        (p.name, p.start, p.size) for p in parts
    ]
    verified = subprocess.run(["sfdisk", "--verify", target], capture_output=True, text=True, check=False)
    assert "No errors detected" in verified.stdout + verified.stderr
