"""Mirrors: the machine's or a setting's, and bytes that the lock does not know are refused by name."""

from __future__ import annotations

import os
import urllib.error
from email.message import Message
from hashlib import sha256
from pathlib import Path

import pytest

from images import lock, mirrors
from runtime.errors import UnreachableError, UsageError

ARCHIVES = ("debian", "debian-security")
APT = "http://one/debian/\nhttp://two/debian-security/\nhttp://three/cloud/\n"


def _package(name: str, data: bytes) -> lock.Package:
    return lock.Package(
        name=name, version="1", sha256=sha256(data).hexdigest(), archive="debian", path=f"pool/{name}.deb",
        rooms=("image",),
    )  # fmt: skip


def test_archives_come_from_apt_or_a_setting() -> None:
    assert mirrors.roots({}, ARCHIVES, APT) == {
        "debian": "http://one/debian",
        "debian-security": "http://two/debian-security",
    }
    setting = {"MIRROR_DEBIAN_SECURITY": "http://mine/s/"}
    assert mirrors.roots(setting, ARCHIVES, APT)["debian-security"] == "http://mine/s"


def test_no_archive_says_which_setting_helps() -> None:
    with pytest.raises(UsageError, match="no archive debian") as caught:
        mirrors.roots({}, ARCHIVES, "")
    assert "MIRROR_DEBIAN " in caught.value.hint


def test_only_what_is_missing_is_fetched(tmp_path: Path) -> None:
    have, lack = _package("have", b"1"), _package("lack", b"2")
    (tmp_path / f"{have.sha256}.deb").write_bytes(b"1")
    asked: list[str] = []

    def get(url: str) -> bytes:
        asked.append(url)
        return b"2"

    assert mirrors.fetch((have, lack), lambda: {"debian": "http://m"}, tmp_path, get) == 1
    assert asked == ["http://m/pool/lack.deb"]
    assert mirrors.fetch((have, lack), lambda: pytest.fail("asked"), tmp_path, get) == 0


def test_a_mirror_that_moved_on_stops_the_bake_and_names_the_packages(tmp_path: Path) -> None:
    gone, other = _package("gone", b"1"), _package("other", b"2")

    def get(url: str) -> bytes:
        if "gone" in url:
            raise urllib.error.HTTPError(url, 404, "Not Found", Message(), None)
        return b"not what the lock says"

    with pytest.raises(UnreachableError) as caught:
        mirrors.fetch(
            (gone, other), lambda: {"debian": "http://m"}, tmp_path, get, lambda _: pytest.fail("waited")
        )
    text = str(caught.value)
    assert "gone 1: HTTP Error 404: Not Found" in text
    assert "other 1: is " in text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "trouble",
    [
        urllib.error.URLError("Temporary failure in name resolution"),
        urllib.error.HTTPError("u", 503, "Service Unavailable", Message(), None),
        TimeoutError("timed out"),
    ],
    ids=str,
)
def test_a_mirror_that_was_silent_is_asked_again(tmp_path: Path, trouble: OSError) -> None:
    package, asked, waited = _package("late", b"1"), [], list[float]()

    def get(url: str) -> bytes:
        asked.append(url)
        if len(asked) < 4:
            raise trouble
        return b"1"

    assert mirrors.fetch((package,), lambda: {"debian": "http://m"}, tmp_path, get, waited.append) == 1
    assert waited == [1.0, 4.0, 15.0]
    asked.clear()
    (tmp_path / f"{package.sha256}.deb").unlink()

    def never(url: str) -> bytes:
        raise trouble

    with pytest.raises(UnreachableError, match="late 1: "):
        mirrors.fetch((package,), lambda: {"debian": "http://m"}, tmp_path, never, waited.append)


def test_apt_is_asked_with_a_state_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "apt-get"
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/said\n'
        f'for a; do case $a in *sourcelist=*) cat "${{a#*sourcelist=}}" > {tmp_path}/sources;; esac; done\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    room = lock.Room(want=("thing",), without=frozenset())
    wanted = lock.Wanted(suites={"debian": ("trixie", "trixie-backports")}, rooms={"image": room})
    assert set(mirrors.resolve(wanted, {"debian": "http://m/debian"})) == {"image"}
    said = (tmp_path / "said").read_text()
    assert "Acquire::ForceHash=SHA256" in said
    assert "--print-uris install thing" in said
    assert "Dir::State::status=" in said
    lines = (tmp_path / "sources").read_text().splitlines()
    assert [line.split("] ")[1] for line in lines] == [
        "http://m/debian trixie main",
        "http://m/debian trixie-backports main",
    ]


def test_apt_that_fails_is_our_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "apt-get"
    program.write_text("#!/bin/sh\necho broken >&2\nexit 100\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    wanted = lock.Wanted(suites={"debian": ("trixie", "trixie-backports")}, rooms={})
    with pytest.raises(UnreachableError, match="broken"):
        mirrors.resolve(wanted, {"debian": "http://m"})
    assert mirrors.configured() == ""
