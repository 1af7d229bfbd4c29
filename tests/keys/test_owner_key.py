"""Reading the owner's key: Ed25519, in a file of its owner alone. Made in tests/infra/test_owner_key.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
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
    for wrong in ("", "zz" * 32, "ab" * 31, "ab" * 33, " ".join(["ab"] * 32), "nul\0"):
        with pytest.raises(UsageError, match="want 64 hexadecimal digits or a file"):
            owner_key.read_public(wrong)


PUBLIC = KEY.public_key().public_bytes_raw()
SPKI = KEY.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


@pytest.mark.parametrize("content", [PUBLIC.hex().encode(), PUBLIC.hex().upper().encode() + b"\n", SPKI, PEM])
def test_or_a_file_of_it_in_any_form(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    assert owner_key.read_public(str(path)) == PUBLIC


def test_a_public_key_may_be_read_by_all_and_a_private_one_by_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(SPKI)
    path.chmod(0o644)
    assert owner_key.read_public(str(path)) == PUBLIC
    path.write_bytes(PEM)
    with pytest.raises(UsageError, match="want 0600"):
        owner_key.read_public(str(path))


RSA = rsa.generate_private_key(65537, 2048).public_key()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 32,
        PUBLIC.hex().encode() * 2,
        b"-----BEGIN PUBLIC KEY-----\n",
        RSA.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="holds no Ed25519 key"):
        owner_key.read_public(str(path))


def test_who_has_to_sign_is_told_that_a_public_key_is_not_enough() -> None:
    with pytest.raises(UsageError, match="is a public key, and this signs"):
        owner_key.load(Path(PUBLIC.hex()))
