"""The signed envelope of a Nitro document: COSE_Sign1 with ES384 (RFC 9052, section 4.2). Pure.

AWS signs with one algorithm and sends no other header (aws-nitro-enclaves-nsm-api, attestation_process.md,
section 3.1): the protected header has to be exactly that one, so that an unknown critical header is refused
like any other, and the unprotected one, which no signature covers, has to be empty.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from runtime.attestation.tees.nitro import cbor
from runtime.errors import MalformedError

# Specification constants.
TAG_SIGN1 = 18  # RFC 9052, section 2, table 1
HEADER_ALG = 1  # RFC 9052, section 3.1, table 3
HEADER_CRIT = 2
ES384 = -35  # RFC 9053, section 2.1, table 1
SIGNATURE_BYTES = 96  # R and S, 48 bytes each, big-endian: RFC 9053, section 2.1
_CONTEXT = "Signature1"  # RFC 9052, section 4.4
_COMPONENT_BYTES = SIGNATURE_BYTES // 2
MAX_PAYLOAD_SIZE = 16_384  # bytes: attestation_process.md, section 3.1

_ECDSA = ec.ECDSA(hashes.SHA384())

# Ours.
MAX_SIZE = MAX_PAYLOAD_SIZE + 256  # bytes; header and signature take about 110
_WHAT = "Nitro document"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign1:
    """One envelope, read; nothing about it is verified."""

    protected: bytes  # as it was sent: the signature covers these very bytes
    payload: bytes
    payload_offset: int  # of the payload in the envelope
    signature: bytes  # 96


def parse(data: bytes) -> Sign1:
    """Read one envelope, tagged or not, and nothing behind it. Raises: MalformedError."""
    if len(data) > MAX_SIZE:
        raise MalformedError(_WHAT, f"is {len(data)} bytes, want at most {MAX_SIZE}")
    envelope = cbor.decode(data, _WHAT)
    if isinstance(envelope.value, cbor.Tagged):
        if envelope.value.tag != TAG_SIGN1:
            raise MalformedError(
                _WHAT, f"has the tag {envelope.value.tag}, want {TAG_SIGN1} or none", offset=0
            )
        envelope = envelope.value.item
    parts = cbor.array(envelope, _WHAT, "COSE_Sign1")
    if len(parts) != 4:
        raise MalformedError(_WHAT, f"COSE_Sign1 has {len(parts)} parts, want 4", offset=envelope.offset)
    protected, unprotected, payload, signature = parts
    if cbor.mapping(unprotected, _WHAT, "unprotected header"):
        raise MalformedError(_WHAT, "unprotected header is not empty", offset=unprotected.offset)
    found = Sign1(
        protected=_header(protected),
        payload=cbor.byte_string(payload, _WHAT, "payload"),
        payload_offset=payload.offset + _head_bytes(payload),
        signature=cbor.byte_string(signature, _WHAT, "signature"),
    )
    if not 0 < len(found.payload) <= MAX_PAYLOAD_SIZE:
        raise MalformedError(
            _WHAT,
            f"payload is {len(found.payload)} bytes, want 1 to {MAX_PAYLOAD_SIZE}",
            offset=payload.offset,
        )
    if len(found.signature) != SIGNATURE_BYTES:
        raise MalformedError(
            _WHAT,
            f"signature is {len(found.signature)} bytes, want {SIGNATURE_BYTES}",
            offset=signature.offset,
        )
    return found


def _header(item: cbor.Item) -> bytes:
    raw = cbor.byte_string(item, _WHAT, "protected header")
    headers = cbor.mapping(
        cbor.decode(raw, f"{_WHAT}: protected header", at=item.offset + _head_bytes(item)),
        _WHAT,
        "protected header",
    )
    if HEADER_CRIT in headers:
        raise MalformedError(_WHAT, "has critical headers, and none is known", offset=item.offset)
    if set(headers) != {HEADER_ALG}:
        raise MalformedError(_WHAT, "protected header is not alg alone", offset=item.offset)
    if headers[HEADER_ALG].value != ES384:
        raise MalformedError(_WHAT, f"alg is not ES384 ({ES384})", offset=headers[HEADER_ALG].offset)
    return raw


def _head_bytes(item: cbor.Item) -> int:
    return len(_byte_string_head(len(cbor.byte_string(item, _WHAT, "byte string"))))


def signed_by(envelope: Sign1, key: ec.EllipticCurvePublicKey) -> bool:
    """Tell whether this P-384 key made the signature; no other curve's did."""
    if not isinstance(key.curve, ec.SECP384R1):
        return False
    r, s = envelope.signature[:_COMPONENT_BYTES], envelope.signature[_COMPONENT_BYTES:]
    signature = encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
    try:
        key.verify(signature, to_be_signed(envelope), _ECDSA)
    except InvalidSignature:
        return False
    return True


def to_be_signed(envelope: Sign1) -> bytes:
    """Return the encoded Sig_structure, without external data (RFC 9052, section 4.4)."""
    parts = (envelope.protected, b"", envelope.payload)
    head = bytes([0x84, 0x60 | len(_CONTEXT)]) + _CONTEXT.encode("ascii")
    return head + b"".join(_byte_string_head(len(part)) + part for part in parts)


def _byte_string_head(size: int) -> bytes:
    """Return the shortest head of a byte string of at most 65535 bytes."""
    if size < 24:
        return bytes([0x40 | size])
    if size < 256:
        return bytes([0x58, size])
    return b"\x59" + size.to_bytes(2, "big")
