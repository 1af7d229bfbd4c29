"""The owner's key is made for its owner's eyes, and refused when others could have seen it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from infra import owner_key
from runtime.errors import UsageError


def test_a_new_key_is_private_and_loads(tmp_path: Path) -> None:
    path = tmp_path / "owner.pem"
    public = owner_key.create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert owner_key.load(path).public_key().public_bytes_raw() == public


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "owner.pem"
    owner_key.create(path)
    before = path.read_bytes()
    with pytest.raises(UsageError, match="never overwritten"):
        owner_key.create(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o601])
def test_a_key_that_others_could_reach_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "owner.pem"
    owner_key.create(path)
    path.chmod(mode)
    with pytest.raises(UsageError, match=f"has mode {mode:04o}, want 0600") as caught:
        owner_key.load(path)
    assert "chmod 600" in caught.value.hint


@pytest.mark.parametrize(
    "data", [b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"]
)
def test_what_is_no_key_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "owner.pem"
    path.write_bytes(data)
    path.chmod(0o600)
    with pytest.raises(UsageError, match="no unencrypted PEM private key"):
        owner_key.load(path)


def test_another_kind_of_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "owner.pem"
    path.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    path.chmod(0o600)
    with pytest.raises(UsageError, match="no Ed25519 key"):
        owner_key.load(path)


def test_a_key_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        owner_key.load(tmp_path / "none.pem")
    with pytest.raises(UsageError, match="No such file"):
        owner_key.create(tmp_path / "no" / "folder.pem")
