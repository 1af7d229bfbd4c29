"""What the inventory says of a machine made of files."""

from __future__ import annotations

import json
from pathlib import Path

from runtime.boot import inventory


def test_sockets_and_mounts(tmp_path: Path) -> None:
    net = tmp_path / "proc/net"
    net.mkdir(parents=True)
    (net / "tcp").write_text(
        "  sl  local_address rem_address st\n"
        "   0: 00000000:01BB 00000000:0000 0A 00000000:00000000 00:00000000 00000000 1000 0 99 1\n"
        "   1: 0100007F:ABCD 0100007F:01BB 01 00000000:00000000 00:00000000 00000000 1000 0 98 1\n"
    )
    (tmp_path / "proc/1").mkdir()
    (tmp_path / "proc/1/mounts").write_text("r / erofs ro,relatime 0 0\nt /var tmpfs rw,nosuid 0 0\n")
    found = [json.loads(line) for line in inventory.lines(tmp_path)]
    assert [(f["local"], f["inode"]) for f in found if f["kind"] == "socket"] == [("00000000:443", "99")]
    assert [(f["at"], f["writable"]) for f in found if f["kind"] == "mount"] == [("/", False), ("/var", True)]


def test_what_of_sysfs_can_be_written(tmp_path: Path) -> None:
    first, second = inventory._SYSFS
    (tmp_path / first).parent.mkdir(parents=True)
    (tmp_path / first).write_text("auto")
    found = [json.loads(line) for line in inventory.lines(tmp_path)]
    assert {f["at"]: f["opens"] for f in found if f["kind"] == "sysfs"} == {
        first: "yes",
        second: "No such file or directory",
    }
    assert (tmp_path / first).read_text() == "auto"
