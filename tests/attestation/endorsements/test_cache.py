"""Files that are whole or not there, few enough, and nobody else's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.attestation.endorsements import cache as subject
from runtime.attestation.endorsements.cache import Cache


def test_what_was_kept_is_there_by_its_key(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "new" / "folder")
    assert cache.get("a") is None
    cache.put("a", b"one")
    cache.put("b", b"two")
    cache.put("a", b"three")
    assert (cache.get("a"), cache.get("b")) == (b"three", b"two")
    assert (tmp_path / "new" / "folder").stat().st_mode & 0o777 == 0o700
    assert len(list((tmp_path / "new" / "folder").iterdir())) == 2


def test_the_oldest_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "MAX_FILES", 3)
    cache = Cache(tmp_path)
    for number in range(5):
        cache.put(str(number), b"x")
        for path in tmp_path.iterdir():
            os.utime(path, (path.stat().st_mtime - 10, path.stat().st_mtime - 10))
    assert [cache.get(str(number)) is not None for number in range(5)] == [False, False, True, True, True]


def test_a_disk_that_takes_nothing_costs_a_fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    Cache(tmp_path / "file").put("a", b"x")
    assert Cache(tmp_path / "file").get("a") is None
    cache = Cache(tmp_path / "folder")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    cache.put("a", b"x")
    assert list((tmp_path / "folder").iterdir()) == []


def test_a_large_file_is_not_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(tmp_path)
    cache.put("a", b"x" * 100)
    monkeypatch.setattr(subject, "MAX_BODY_SIZE", 10)
    assert cache.get("a") == b"x" * 11
