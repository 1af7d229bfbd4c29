"""The owner's Ed25519 key on disk: PKCS #8 PEM, for its owner's eyes only. I/O.

Never on a member: it is read by whoever signs documents, and by whoever asks a member as its owner.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from runtime.errors import UsageError

_LARGEST = 4096  # bytes; a PEM of one Ed25519 key is 119
_PUBLIC = 32  # bytes
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def load(path: Path) -> Ed25519PrivateKey:
    """Return the key. Raises: UsageError: others may read it, or it is no Ed25519 key."""
    try:
        with path.open("rb") as file:
            # Of the opened file, not of its name: the name may point elsewhere a moment later.
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            pem = file.read(_LARGEST)
    except OSError as error:
        message = f"{path}: {error.strerror}"
        raise UsageError(message) from error
    if mode & _OTHERS:
        message = f"{path} has mode {mode:04o}, want 0600: others may read the owner's key"
        raise UsageError(message, hint=f"chmod 600 {path}, and make a new key if anybody may have read it")
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        message = f"{path} is no unencrypted PEM private key"
        raise UsageError(message, hint="tunnel-fleet key new --out FILE") from error
    if not isinstance(key, Ed25519PrivateKey):
        message = f"{path} is no Ed25519 key"
        raise UsageError(message, hint="tunnel-fleet key new --out FILE")
    return key


def read_public(text: str) -> bytes:
    """Return a public key from its 64 hexadecimal digits: 32 bytes. Raises: UsageError."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != _PUBLIC:
        message = f"an owner's public key is {text!r}, want {2 * _PUBLIC} hexadecimal digits"
        raise UsageError(message, hint="tunnel-fleet key new prints them")
    return key
