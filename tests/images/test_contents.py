"""The allow-list: what is kept of a package, and that nothing else slips in."""

from __future__ import annotations

import pytest

from images import contents


@pytest.mark.parametrize(
    ("package", "path"),
    [
        ("udev", "usr/bin/udevadm"),
        ("systemd", "usr/lib/systemd/system/basic.target"),
        ("systemd", "usr/lib/systemd/systemd"),
        ("libc6", "usr/lib/x86_64-linux-gnu/libc.so.6"),
        ("libpython3.13-stdlib", "usr/lib/python3.13/asyncio/tasks.py"),
        ("ca-certificates", "usr/share/ca-certificates/mozilla/X.crt"),
        ("udev", "usr/lib/udev/rules.d/80-drivers.rules"),
    ],
)
def test_kept(package: str, path: str) -> None:
    assert contents.keeps(package, path)


@pytest.mark.parametrize(
    ("package", "path"),
    [
        ("bash", "usr/bin/bash"),
        ("dash", "bin/sh"),
        ("mount", "usr/bin/su"),
        ("systemd", "usr/bin/systemd-run"),
        ("systemd", "usr/lib/systemd/systemd-sulogin-shell"),
        ("systemd", "usr/lib/systemd/system-generators/systemd-debug-generator"),
        ("systemd", "usr/lib/systemd/system/debug-shell.service"),
        ("systemd", "usr/lib/systemd/system/emergency.service"),
        ("systemd", "usr/lib/systemd/system/sysinit.target.wants/x.service"),
        ("libpam0g", "etc/pam.d/other"),
        ("libpython3.13-stdlib", "usr/lib/python3.13/test/x.py"),
        ("libpython3.13-stdlib", "usr/lib/python3.13/pdb.py"),
        ("libc6", "usr/share/doc/libc6/copyright"),
        ("libc6", "usr/lib/x86_64-linux-gnu/gconv/X.so"),
        ("linux-modules-7", "usr/lib/modules/7/kernel/fs/nfs/nfs.ko.xz"),
        ("linux-base-7", "usr/lib/modules/7/config"),
        ("udev", "usr/lib/udev/hwdb.d/20-OUI.hwdb"),
        ("new", "opt/surprise"),
    ],
)
def test_left_out(package: str, path: str) -> None:
    assert not contents.keeps(package, path)


def test_no_program_is_a_shell() -> None:
    shells = {"sh", "bash", "dash", "ash", "zsh", "busybox", "perl"}
    assert not {path.rsplit("/", 1)[1] for path in contents.PROGRAMS} & shells


def test_the_initrd_has_one_shell_and_one_opener() -> None:
    assert contents.keeps_for_initrd("usr/sbin/veritysetup")
    assert not contents.keeps_for_initrd("usr/sbin/cryptsetup")
    assert not contents.keeps_for_tools("usr/share/doc/x")


def test_a_kernel_is_asked_for_every_option() -> None:
    whole = "".join(f"{name}={want[-1]}\n" for name, want in contents.KERNEL_OPTIONS.items())
    assert contents.lacks(whole) == []
    assert contents.lacks(whole.replace("CONFIG_SEV_GUEST=m", "CONFIG_SEV_GUEST=n")) == [
        "CONFIG_SEV_GUEST=y or m"
    ]
    assert contents.lacks("") == [f"{n}={' or '.join(w)}" for n, w in contents.KERNEL_OPTIONS.items()]
    # A module is not there when the command line asks for lockdown, or firmware for a TPM.
    assert contents.lacks(whole.replace("CONFIG_TCG_CRB=y", "CONFIG_TCG_CRB=m")) == ["CONFIG_TCG_CRB=y"]
