"""The owner's Ed25519 key: the private half for its owner's eyes only, the public half in any form. I/O.

Never on a member: it is read by whoever signs documents, and by whoever asks a member as its owner.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from runtime.errors import UsageError
from runtime.keys import private_file

PUBLIC_HELP = "the owner's public key: 64 hexadecimal digits, or a file of them or of the key in PEM"
PUBLIC_FORM = "HEX|FILE"
_LARGEST = 4096  # bytes; a PEM of one Ed25519 key is 119
_PUBLIC = 32  # bytes
_NEW = "tunnel-fleet key new --out FILE"


def load(path: Path) -> Ed25519PrivateKey:
    """Return the private key. Raises: UsageError: others may read it, or it is no Ed25519 private key."""
    if _hexadecimal(str(path)) is not None:
        message = f"{path} is a public key, and this signs: want the file of the private key"
        raise UsageError(message, hint="it is the file that `tunnel-fleet key new` wrote")
    pem = private_file.read(
        path,
        secret="the owner's key",  # noqa: S106 - a word for people
        largest=_LARGEST,
        hint=", and make a new key if anybody may have read it",
    )
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        message = f"{path} is no unencrypted PEM private key"
        raise UsageError(message, hint=_NEW) from error
    if not isinstance(key, Ed25519PrivateKey):
        message = f"{path} is no Ed25519 key"
        raise UsageError(message, hint=_NEW)
    return key


def read_public(text: str) -> bytes:
    """Return a public key, 32 bytes: `text` is its 64 hexadecimal digits, or names a file.

    The file holds the digits, a public key in PEM, or the private key, whose mode has to be 0600 then: its
    content tells. Raises: UsageError.
    """
    return _hexadecimal(text) or _in_file(text)


def _in_file(text: str) -> bytes:
    try:
        with Path(text).open("rb") as file:
            data = file.read(_LARGEST)
    except (OSError, ValueError) as error:
        message = f"an owner's public key is {text!r}, want {2 * _PUBLIC} hexadecimal digits or a file"
        raise UsageError(message, hint="tunnel-fleet key new prints them") from error
    if b"PRIVATE KEY-----" in data:
        return load(Path(text)).public_key().public_bytes_raw()
    key = _hexadecimal(data.decode("ascii", "replace").strip()) or _pem(data)
    if key is None:
        message = f"{text} holds no Ed25519 key, want {2 * _PUBLIC} hexadecimal digits or a key in PEM"
        raise UsageError(message, hint="tunnel-fleet key new prints the digits")
    return key


def _hexadecimal(text: str) -> bytes | None:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        return None
    return key if len(key) == _PUBLIC and len(text) == 2 * _PUBLIC else None


def _pem(data: bytes) -> bytes | None:
    try:
        key = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key.public_bytes_raw() if isinstance(key, Ed25519PublicKey) else None
