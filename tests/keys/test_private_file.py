"""A secret file is read while its owner alone can reach it."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.errors import UsageError
from runtime.keys import private_file


def read(path: Path, largest: int = 100) -> bytes:
    return private_file.read(path, secret="what it is", largest=largest, hint=", and more")


def test_its_owner_s_is_read_up_to_a_bound(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"x" * 101)
    path.chmod(0o600)
    assert read(path) == b"x" * 100
    path.chmod(0o400)
    assert read(path, 101) == b"x" * 101


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610])
def test_what_others_can_reach_is_refused_with_what_to_do(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"x")
    path.chmod(mode)
    with pytest.raises(UsageError, match=f"mode {mode:04o}, want 0600: others may read what it is") as caught:
        read(path)
    assert caught.value.hint == f"chmod 600 {path}, and more"


def test_what_cannot_be_opened_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read(tmp_path / "none")
    with pytest.raises(UsageError, match="Is a directory"):
        read(tmp_path)
