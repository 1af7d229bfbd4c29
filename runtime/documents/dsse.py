"""DSSE envelopes signed with Ed25519 (github.com/secure-systems-lab/dsse, protocol v1.0.2). Pure.

A signature covers the payload type and the exact payload bytes; nothing is re-serialised.
"""

from __future__ import annotations

import base64
import binascii
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from runtime.documents import strict_json
from runtime.errors import DocumentError, MalformedError, Problem

FLEET_TYPE = "application/vnd.confidential-tunnels.fleet+json"
ROUTES_TYPE = "application/vnd.confidential-tunnels.routes+json"
IMAGE_TYPE = "application/vnd.confidential-tunnels.image+json"
_WHAT = "signed envelope"
_UNSIGNED = "this document is not signed: tunnel-fleet document --sign --key FILE --in FILE --out FILE"


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the pre-authentication encoding: what is signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def key_id(public_key: bytes) -> str:
    """Return the name of an owner key in envelopes: SHA-256 of its 32 raw bytes, hex."""
    return sha256(public_key).hexdigest()


def sign(payload: bytes, payload_type: str, key: Ed25519PrivateKey) -> bytes:
    """Return the envelope's JSON bytes."""
    public = key.public_key().public_bytes_raw()
    signature = key.sign(pae(payload_type, payload))
    return strict_json.canonical(
        {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": payload_type,
            "signatures": [{"keyid": key_id(public), "sig": base64.b64encode(signature).decode()}],
        }
    )


def open_envelope(data: bytes, payload_type: str, owner_keys: tuple[bytes, ...]) -> bytes:
    """Return the payload if one of `owner_keys` (raw Ed25519, 32 bytes each) signed it.

    Raises: DocumentError: not an envelope, another payload type, or no signature by these keys.
    """
    envelope = _envelope(data)
    if envelope["payloadType"] != payload_type:
        raise _refuse(f"payloadType is {envelope['payloadType']!r}, want {payload_type!r}")
    payload = _base64(envelope["payload"], "$.payload")
    message = pae(payload_type, payload)
    signatures = [_base64(entry["sig"], "$.signatures") for entry in envelope["signatures"]]
    # The key id is a hint of the sender's; every owner key is tried against every signature.
    if any(_verifies(key, signature, message) for key in owner_keys for signature in signatures):
        return payload
    keys = ", ".join(key_id(key)[:16] for key in owner_keys)
    raise _refuse(f"no signature by the owner keys that the settings name ({keys})")


def _verifies(key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _envelope(data: bytes) -> dict[str, Any]:
    try:
        value = strict_json.parse(data, _WHAT)
    except MalformedError as error:
        raise _refuse(str(error)) from error
    shape_ok = (
        isinstance(value, dict)
        and set(value) == {"payload", "payloadType", "signatures"}
        and isinstance(value["payload"], str)
        and isinstance(value["payloadType"], str)
        and isinstance(value["signatures"], list)
        and 1 <= len(value["signatures"]) <= 4
        and all(
            isinstance(entry, dict)
            and set(entry) <= {"keyid", "sig"}
            and isinstance(entry.get("sig"), str)
            and isinstance(entry.get("keyid", ""), str)
            for entry in value["signatures"]
        )
    )
    if not shape_ok:
        unsigned = isinstance(value, dict) and "schema" in value and "payload" not in value
        raise _refuse(
            "want {payload, payloadType, signatures: [{keyid, sig}]} with one to four signatures",
            hint=_UNSIGNED if unsigned else "",
        )
    envelope: dict[str, Any] = value
    return envelope


def _base64(text: str, path: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DocumentError(_WHAT, [Problem(path, f"is not base64: {error}")]) from error


def _refuse(message: str, *, hint: str = "") -> DocumentError:
    return DocumentError(_WHAT, [Problem("$", message)], hint=hint)
