"""Reading the owner's key: Ed25519, in a file of its owner alone. Made in tests/infra/test_owner_key.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from runtime.errors import UsageError
from runtime.keys import owner_key

KEY = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)


def test_a_key_for_its_owner_alone_is_read(tmp_path: Path) -> None:
    path = tmp_path / "owner.key"
    path.write_bytes(PEM)
    path.chmod(0o600)
    assert owner_key.load(path).public_key() == KEY.public_key()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_key_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "owner.key"
    path.write_bytes(PEM)
    path.chmod(mode)
    with pytest.raises(UsageError, match="want 0600"):
        owner_key.load(path)


def test_no_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        owner_key.load(tmp_path / "none")


def test_a_public_key_is_64_digits() -> None:
    assert owner_key.read_public("ab" * 32) == b"\xab" * 32
    for wrong in ("", "zz" * 32, "ab" * 31, "ab" * 33):
        with pytest.raises(UsageError, match="want 64 hexadecimal digits"):
            owner_key.read_public(wrong)
