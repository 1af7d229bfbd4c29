"""How an owner proves who it is: a signature over the binder of this very connection. Pure.

    Ed25519( "tunnel-owner-v1" ‖ 0x00 ‖ binder 64 )        (docs/protocol.md §15)

The prefix keeps it apart from everything else that this key signs: a document's signature is over
"DSSEv1 …" (`documents.dsse`). Nobody chooses the bytes: the binder is a hash that commits to the connection.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from runtime.attestation.binding import BINDER_BYTES
from runtime.errors import MalformedError, PeerError

PREFIX = b"tunnel-owner-v1\0"
SIGNATURE_SIZE = 64  # bytes, RFC 8032 §5.1.6


def message(binder: bytes) -> bytes:
    """Return the 80 bytes that an owner signs. Raises: MalformedError for a binder of another size."""
    if len(binder) != BINDER_BYTES:
        raise MalformedError("binder", f"is {len(binder)} bytes, want {BINDER_BYTES}")
    return PREFIX + binder


def check(signature: bytes, binder: bytes, owner_keys: tuple[bytes, ...]) -> bytes:
    """Return which of the settings' owner keys (raw Ed25519, 32 bytes each) signed.

    Raises: PeerError("owner_refused").
    """
    signed = message(binder)
    for key in owner_keys:
        if _verifies(key, signature, signed):
            return key
    raise PeerError("owner_refused", "no signature of an owner that the settings name over this connection")


def _verifies(key: bytes, signature: bytes, signed: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, signed)
    except (InvalidSignature, ValueError):
        return False
    return True
