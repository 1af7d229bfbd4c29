"""Make the owner's Ed25519 key; reading it is the runtime's (`runtime.keys.owner_key`). I/O."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from runtime.errors import UsageError
from runtime.keys.owner_key import PUBLIC_FORM, PUBLIC_HELP, load, read_public

__all__ = ["PUBLIC_FORM", "PUBLIC_HELP", "create", "load", "read_public"]


def create(path: Path) -> bytes:
    """Write a new key, never over a file, and return its raw public key (32 bytes). Raises: UsageError."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        message = f"{path} exists, and a key is never overwritten"
        raise UsageError(message, hint="choose another name") from error
    except OSError as error:
        message = f"{path}: {error.strerror}"
        raise UsageError(message) from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
    return key.public_key().public_bytes_raw()
