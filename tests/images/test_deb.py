"""Packages are unpacked as plain files: no device, no setuid bit, nothing outside the root."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from images import deb
from runtime.errors import MalformedError
from tests.images import doubles


def test_files_links_and_modes(tmp_path: Path) -> None:
    package = doubles.package(
        [
            ("./usr/bin/", "dir", b"", 0o755),
            ("./usr/bin/su", "file", b"program", 0o4755),
            ("./usr/bin/again", "hard", "./usr/bin/su", 0o4755),
            ("./usr/share/open", "file", b"text", 0o666),
            ("./usr/bin/sh", "link", "dash", 0o777),
            ("./dev/null", "device", b"", 0o666),
            ("./unwanted", "file", b"", 0o644),
        ]
    )
    made = deb.unpack(package, tmp_path, lambda path: path != "unwanted")
    assert made == ["usr/bin/su", "usr/bin/again", "usr/share/open", "usr/bin/sh"]
    assert (tmp_path / "usr/bin/su").stat().st_mode & 0o7777 == 0o755
    assert (tmp_path / "usr/bin/again").read_bytes() == b"program"
    assert (tmp_path / "usr/share/open").stat().st_mode & 0o7777 == 0o644
    assert (tmp_path / "usr/bin/sh").readlink() == Path("dash")


@pytest.mark.parametrize("name", ["../outside", "/absent/x", "usr/../../x"])
def test_a_path_that_leaves_the_root_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(MalformedError, match="leaves the root"):
        deb.unpack(doubles.package([(name, "file", b"x", 0o644)]), tmp_path, lambda _: True)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"!<arch>\n",
        doubles.ar([("debian-binary", b"2.0\n")]),
        doubles.ar([("data.tar.xz", b"not xz")]),
        b"!<arch>\n" + b"x" * 60,
    ],
)
def test_what_is_no_package_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(MalformedError):
        deb.unpack(data, tmp_path, lambda _: True)


@given(st.binary(max_size=200))
def test_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(MalformedError):
        deb.data_tar(b"!<arch>\n" + data)
