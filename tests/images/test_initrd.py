"""The initrd's script: every way out of it is the verified root or the power switch."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from images import initrd
from images.rootfs import HERE, Kernel
from images.toolbox import Toolbox

SCRIPT = (HERE / "initrd.d/init").read_text()


def test_every_step_fails_closed() -> None:
    opening = SCRIPT[SCRIPT.index("veritysetup open") :]
    assert "--panic-on-corruption" in opening
    assert opening.rstrip().endswith('fail "no init"')
    assert "rescue" not in SCRIPT
    assert "exec sh" not in SCRIPT
    for line in opening.splitlines():
        if line.startswith(("veritysetup", "mount")):
            assert "|| fail" in line


@pytest.mark.parametrize(
    ("cmdline", "want"),
    [
        ("roothash=x ro", "no disk holds"),
        ("roothash=x ro init=/bin/sh", "command line is not"),
        ("roothash=x ro systemd.set_credential=a:b", "command line is not"),
        ("", "command line is not"),
    ],
)
def test_another_command_line_is_refused_before_anything_is_loaded(
    tmp_path: Path, cmdline: str, want: str
) -> None:
    root = tmp_path
    for name, text in (
        ("proc/cmdline", cmdline),
        ("etc/cmdline", "roothash=x ro"),
        ("etc/modules", "m.ko\n"),
    ):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    (root / "etc/root_hash").write_text("ab" * 32)
    (root / "sys/class/block").mkdir(parents=True)
    (root / "bin").mkdir()
    for name in ("mount", "insmod", "sleep", "poweroff"):
        tool = root / "bin" / name
        tool.write_text(f'#!/bin/sh\necho "{name} $*" >> {root}/log\n')
        tool.chmod(0o755)
    (root / "bin/poweroff").write_text(f"#!/bin/sh\necho poweroff >> {root}/log\nkill $PPID\n")
    script = SCRIPT.replace("export PATH=/bin", f"export PATH={root}/bin:{os.environ['PATH']}")
    for folder in ("proc", "etc", "sys", "dev"):
        script = script.replace(f"/{folder}/", f"{root}/{folder}/")
    (root / "dev").mkdir()
    script = script.replace('"$tries" -lt 300', '"$tries" -lt 3')
    subprocess.run(["sh", "-c", script], check=False, timeout=30)
    assert want in (root / "dev/console").read_text()
    log = (root / "log").read_text()
    assert "poweroff" in log
    assert ("insmod" in log) is (want == "no disk holds")


def test_the_archive_holds_its_own_command_line_and_hash(tmp_path: Path) -> None:
    room = tmp_path / "room"
    for name in ("usr/bin/busybox", "usr/sbin/veritysetup", "usr/lib64/ld-linux-x86-64.so.2"):
        (room / name).parent.mkdir(parents=True, exist_ok=True)
        (room / name).write_bytes(b"program")
    loader = tmp_path / "tools/usr/lib64/ld-linux-x86-64.so.2"
    loader.parent.mkdir(parents=True)
    loader.write_text("#!/bin/sh\ncat\n")
    loader.chmod(0o755)
    kernel = Kernel(release="6", image=b"k", initrd_modules=(("dm_verity.ko", b"module"),))
    archive = initrd.build(room, kernel, "the command line", "cd" * 32, Toolbox(tmp_path / "tools", 0))
    for part in (
        b"the command line",
        b"cd" * 32,
        b"lib/modules/dm_verity.ko\0",
        b"bin/sh\0",
        SCRIPT.encode(),
    ):
        assert part in archive
