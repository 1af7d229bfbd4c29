"""The archive is what the kernel reads, and the same files make the same bytes."""

from __future__ import annotations

import subprocess
from pathlib import Path
from shutil import which

import pytest

from images import cpio

ENTRIES = {
    "init": cpio.file(b"#!/bin/sh\n", executable=True),
    "bin/sh": cpio.link("busybox"),
    "dev/console": cpio.console(),
    "etc/deep/file": cpio.file(b"abc"),
}


def test_order_and_parents() -> None:
    data = cpio.write(ENTRIES)
    assert data == cpio.write(dict(reversed(ENTRIES.items())))
    assert len(data) % 4 == 0
    assert data.count(b"070701") == len(ENTRIES) + 4 + 1  # bin, dev, etc, etc/deep, and the trailer
    assert data.index(b"etc\0") < data.index(b"etc/deep\0") < data.index(b"etc/deep/file\0")


@pytest.mark.skipif(which("cpio") is None, reason="no cpio on this machine")
def test_cpio_reads_it(tmp_path: Path) -> None:
    entries = {name: entry for name, entry in ENTRIES.items() if name != "dev/console"}
    subprocess.run(["cpio", "-idm", "--quiet"], input=cpio.write(entries), cwd=tmp_path, check=True)
    assert (tmp_path / "etc/deep/file").read_bytes() == b"abc"
    assert (tmp_path / "init").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "bin/sh").readlink() == Path("busybox")
