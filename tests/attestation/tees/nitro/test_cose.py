"""The envelope has one algorithm, no other header and one signature over exactly what was sent."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from runtime.attestation.tees.nitro import cose
from runtime.errors import MalformedError
from tests.fakes import nitro
from tests.fakes.nitro import Raw, Tag

KEY = ec.generate_private_key(ec.SECP384R1())
ES384 = b"\xa1\x01\x38\x22"
SIGNED = nitro.sign(b"payload", KEY)


def envelope(
    protected: Any = ES384, unprotected: Any = None, payload: Any = b"payload", signature: Any = bytes(96)
) -> bytes:
    return nitro.cbor([protected, {} if unprotected is None else unprotected, payload, signature])


@pytest.mark.parametrize("size", [1, 23, 24, 255, 256, 5000, cose.MAX_PAYLOAD_SIZE])
def test_a_signature_over_a_payload_of_any_size(size: int) -> None:
    data = nitro.sign(b"p" * size, KEY)
    found = cose.parse(data)
    assert found.payload == b"p" * size == data[found.payload_offset :][:size]
    assert cose.signed_by(found, KEY.public_key())
    assert not cose.signed_by(found, ec.generate_private_key(ec.SECP384R1()).public_key())


def test_what_is_signed_is_the_sig_structure() -> None:
    found = cose.parse(SIGNED)
    assert cose.to_be_signed(found) == nitro.cbor(["Signature1", ES384, b"", b"payload"])


def test_the_tag_is_optional() -> None:
    assert cose.parse(nitro.cbor(Tag(18, Raw(SIGNED)))).payload == b"payload"
    tagged = cose.parse(nitro.cbor(Tag(18, Raw(SIGNED))))
    assert (tagged.payload_offset, tagged.signature) == (9, cose.parse(SIGNED).signature)


def test_another_curve_never_signed() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    found = cose.parse(SIGNED)
    assert not cose.signed_by(found, key.public_key())
    # 96 bytes that are right in all but the curve: P-256 with SHA-384, R and S padded.
    signed = nitro.sign(b"payload", key)
    r, s = signed[-64:-32], signed[-32:]
    padded = cose.parse(envelope(signature=bytes(16) + r + bytes(16) + s))
    assert not cose.signed_by(padded, key.public_key())


@pytest.mark.parametrize("signature", [bytes(96), b"\xff" * 96, bytes(48) + b"\1" * 48])
def test_numbers_that_are_no_signature(signature: bytes) -> None:
    assert not cose.signed_by(cose.parse(envelope(signature=signature)), KEY.public_key())


@pytest.mark.parametrize(
    ("data", "offset", "detail"),
    [
        (bytes(cose.MAX_SIZE + 1), None, "is 16641 bytes, want at most 16640"),
        (bytes(cose.MAX_SIZE), 1, "has 16639 bytes behind its end"),
        (nitro.cbor(Tag(17, Raw(SIGNED))), 0, "has the tag 17, want 18 or none"),
        (nitro.cbor(Tag(18, Tag(18, Raw(SIGNED)))), 1, "COSE_Sign1 is not an array"),
        (b"\x40", 0, "COSE_Sign1 is not an array"),
        (nitro.cbor([ES384, {}, b"p"]), 0, "COSE_Sign1 has 3 parts, want 4"),
        (nitro.cbor([ES384, {}, b"p", bytes(96), None]), 0, "COSE_Sign1 has 5 parts, want 4"),
        (SIGNED + b"\0", len(SIGNED), "has 1 bytes behind its end"),
        (envelope(unprotected={4: b"kid"}), 6, "unprotected header is not empty"),
        (envelope(unprotected=[]), 6, "unprotected header is not a map"),
        (envelope(protected={1: -35}), 1, "protected header is not a byte string"),
        (envelope(protected=b""), 2, "ends inside an item: 0 bytes left of 1"),
        (envelope(protected=b"\x80"), 2, "protected header is not a map"),
        (envelope(protected=b"\xa0"), 1, "protected header is not alg alone"),
        (envelope(protected=nitro.cbor({1: -7})), 4, "alg is not ES384 (-35)"),
        (envelope(protected=nitro.cbor({1: "ES384"})), 4, "alg is not ES384 (-35)"),
        (envelope(protected=nitro.cbor({1: -35, 3: 0})), 1, "protected header is not alg alone"),
        (envelope(protected=nitro.cbor({1: -35, 2: [99]})), 1, "has critical headers, and none is known"),
        (envelope(payload=None), 7, "payload is not a byte string"),
        (envelope(payload=b""), 7, "payload is 0 bytes, want 1 to 16384"),
        (envelope(payload=bytes(16385)), 7, "payload is 16385 bytes, want 1 to 16384"),
        (envelope(signature=bytes(95)), 15, "signature is 95 bytes, want 96"),
        (envelope(signature=bytes(97)), 15, "signature is 97 bytes, want 96"),
        (envelope(signature="s" * 96), 15, "signature is not a byte string"),
    ],
)
def test_malformed_says_where(data: bytes, offset: int | None, detail: str) -> None:
    with pytest.raises(MalformedError) as caught:
        cose.parse(data)
    assert (caught.value.offset, caught.value.detail) == (offset, detail)


@given(st.integers(0, len(SIGNED) * 8 - 1))
def test_no_bit_can_be_changed(bit: int) -> None:
    data = bytearray(SIGNED)
    data[bit // 8] ^= 1 << bit % 8
    try:
        found = cose.parse(bytes(data))
    except MalformedError:
        return
    assert not cose.signed_by(found, KEY.public_key())


@given(st.integers(0, len(SIGNED) - 1))
def test_truncated_is_malformed(size: int) -> None:
    with pytest.raises(MalformedError):
        cose.parse(SIGNED[:size])
