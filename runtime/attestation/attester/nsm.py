"""Requests to AWS's Nitro Secure Module and its responses, in CBOR. Pure.

`aws/aws-nitro-enclaves-nsm-api`, src/api/mod.rs: {"Attestation": {"user_data", "nonce", "public_key"}},
each a byte string or null; the response is {"Attestation": {"document": bytes}} or {"Error": text}. What a
document says is read by `tees.nitro`.
"""

from __future__ import annotations

from runtime.attestation.tees.tpm.attest import Reader
from runtime.errors import UnsupportedTeeError

MAX_FIELD_BYTES = 1024
MAX_DOCUMENT_BYTES = 16 * 1024
_BYTES, _TEXT, _MAP = 2, 3, 5  # major types, RFC 8949, section 3.1
_NULL, _INDEFINITE = b"\xf6", 31
_WHAT = "NSM response"


def request(*, user_data: bytes | None, nonce: bytes | None) -> bytes:
    """Return the request for a document over these fields; it has no public key."""
    fields = (("user_data", user_data), ("nonce", nonce), ("public_key", None))
    body = b"".join(
        _text(name) + (_NULL if value is None else _head(_BYTES, value)) for name, value in fields
    )
    return b"\xa1" + _text("Attestation") + b"\xa3" + body


def document(data: bytes) -> bytes:
    """Return the document of a response; what lies behind it in the buffer is passed over.

    Raises: UnsupportedTeeError (the module refused), MalformedError.
    """
    reader = Reader(data, _WHAT, MAX_DOCUMENT_BYTES)
    _one_entry(reader)
    if (kind := _string(reader, _TEXT, "kind")) == b"Error":
        code = _string(reader, _TEXT, "error").decode("utf-8", "replace")
        message = f"the Nitro hypervisor makes no document: {code[:64]}"
        raise UnsupportedTeeError(message)
    if kind != b"Attestation":
        raise reader.fail(f"is of the kind {kind[:32]!r}, want Attestation", 1)
    start = reader.offset
    _one_entry(reader)
    if (name := _string(reader, _TEXT, "member")) != b"document":
        raise reader.fail(f"has a member {name[:32]!r}, want document", start)
    return _string(reader, _BYTES, "document")


def _text(name: str) -> bytes:
    return _head(_TEXT, name.encode())


def _head(major: int, value: bytes) -> bytes:
    size = len(value)
    if size < 24:
        return bytes([major << 5 | size]) + value
    if size < 256:
        return bytes([major << 5 | 24, size]) + value
    return bytes([major << 5 | 25]) + size.to_bytes(2, "big") + value


def _one_entry(reader: Reader) -> None:
    """A map of one entry, its length given or not."""
    start = reader.offset
    if (head := reader.number(1, "a map")) not in {_MAP << 5 | 1, _MAP << 5 | _INDEFINITE}:
        raise reader.fail(f"has {head:#04x}, want a map of one entry", start)


def _string(reader: Reader, major: int, field: str) -> bytes:
    start = reader.offset
    head = reader.number(1, field)
    size = head & 31
    if head >> 5 != major or size > 26:
        raise reader.fail(f"{field} begins with {head:#04x}, want a string of type {major}", start)
    if size >= 24:
        size = reader.number(1 << (size - 24), f"{field}.length")
    return reader.take(size, field)
