"""The lock: read strictly, written sorted, made of what apt resolved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from images import lock
from runtime.errors import DocumentError

FOLDER = Path(lock.__file__).parent
PACKAGE = lock.Package(
    name="libc6",
    version="2.41-12+deb13u5",
    sha256="ab" * 32,
    archive="debian",
    path="pool/main/g/glibc/libc6_2.41-12+deb13u5_amd64.deb",
    rooms=("image", "tools"),
)


def test_the_committed_lock_is_valid_and_fills_every_room() -> None:
    found = lock.read((FOLDER / "packages.lock").read_text())
    assert all(found.room(name) for name in lock.ROOMS)
    assert {p.archive for p in found.packages} <= set(
        lock.wanted((FOLDER / "packages.toml").read_text()).suites
    )


def test_no_shell_and_no_package_manager_is_locked_into_the_image() -> None:
    names = {p.name for p in lock.read((FOLDER / "packages.lock").read_text()).room("image")}
    assert not names & {
        "bash",
        "dash",
        "busybox",
        "busybox-static",
        "dpkg",
        "apt",
        "perl-base",
        "openssh-server",
    }


def test_of_backports_there_is_the_kernel_and_nothing_else() -> None:
    packages = lock.read((FOLDER / "packages.lock").read_text()).packages
    assert {p.name.split("-")[0] for p in packages if "~bpo" in p.version} <= {"linux"}
    (kernel,) = [p for p in packages if p.name.startswith("linux-binary-")]
    release = tuple(int(n) for n in kernel.name.removeprefix("linux-binary-").split("+")[0].split(".")[:2])
    assert release >= (6, 16), "RTMR3 is extended through a file that Linux has since 6.16"


def test_what_is_written_is_read() -> None:
    other = replace(PACKAGE, name="abc", rooms=("initrd",))
    text = lock.write([PACKAGE, other])
    assert lock.read(text).packages == (other, PACKAGE)
    assert lock.write(lock.read(text).packages) == text


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", "Lib C", "fields"),
        ("name", "UPPER", "name is"),
        ("version", "1/2", "version is"),
        ("sha256", "AB" * 32, "sha256 is"),
        ("path", "pool/../../etc/passwd.deb", "path is"),
        ("path", "http://somewhere/x.deb", "path is"),
        ("rooms", ("cellar",), "rooms has cellar"),
    ],
)
def test_a_broken_line_is_named(field: str, value: Any, said: str) -> None:
    with pytest.raises(DocumentError, match=said):
        lock.read(lock.write([replace(PACKAGE, **{field: value})]))


def test_a_package_twice_is_refused() -> None:
    with pytest.raises(DocumentError, match="twice"):
        lock.read(PACKAGE.line() + "\n" + PACKAGE.line() + "\n")


WANTED = lock.Wanted(
    suites={"debian": ("trixie", "trixie-backports")},
    rooms={
        "image": lock.Room(want=("x",), without=frozenset({"dash"})),
        "initrd": lock.Room(want=("x",), without=frozenset()),
        "tools": lock.Room(want=("x",), without=frozenset()),
    },
)


def _uri(name: str) -> str:
    return (
        f"'http://mirror/d/pool/main/x/{name}_1%3a2_amd64.deb' {name}_1%3a2_amd64.deb 10 SHA256:{'cd' * 32}\n"
    )


def test_what_apt_resolved_becomes_packages_of_rooms() -> None:
    found = lock.resolved(
        {"image": _uri("xx") + _uri("dash") + "Reading...\n", "initrd": _uri("xx"), "tools": _uri("dash")},
        WANTED,
        {"debian": "http://mirror/d"},
    )
    assert [(p.name, p.version, p.rooms) for p in found] == [
        ("dash", "1:2", ("tools",)),
        ("xx", "1:2", ("image", "initrd")),
    ]
    assert lock.read(lock.write(found)).packages == found


def test_a_package_of_no_known_archive_is_refused() -> None:
    with pytest.raises(DocumentError, match="none of the machine's archives"):
        lock.resolved({"image": _uri("xx")}, WANTED, {"debian": "http://other/d"})


@pytest.mark.parametrize("text", ["[image", "archives = {}", "archives = {}\n[image]\nwant = []"])
def test_a_broken_wish_is_our_error(text: str) -> None:
    with pytest.raises(DocumentError):
        lock.wanted(text)
