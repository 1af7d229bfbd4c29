"""Signed envelopes: what an owner key signed comes out unchanged, or nothing comes out."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from runtime.documents import dsse
from runtime.errors import DocumentError
from tests.documents.damage import accepts_or_refuses, problems

KEYS = [Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in range(3)]
RAW = [key.public_key().public_bytes_raw() for key in KEYS]
KIND = dsse.FLEET_TYPE
PAYLOAD = b'{"any": "bytes", \x00\xff}'
ENVELOPE = dsse.sign(PAYLOAD, KIND, KEYS[0])


def _opened(data: bytes) -> bytes:
    return dsse.open_envelope(data, KIND, (RAW[0],))


def _with(**parts: Any) -> bytes:
    return json.dumps({**json.loads(ENVELOPE), **parts}).encode()


def test_the_encoding_of_the_specification_s_example() -> None:
    # dsse protocol.md v1.0.2, "Test vectors"
    encoded = dsse.pae("http://example.com/HelloWorld", b"hello world")
    assert encoded == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_the_encoding_counts_bytes_and_not_characters() -> None:
    assert dsse.pae("é", b"") == b"DSSEv1 2 \xc3\xa9 0 "


def test_the_key_id_of_a_known_key() -> None:
    # RFC 8032 §7.1, TEST 1: the public key; its SHA-256 by coreutils
    key = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    assert dsse.key_id(key) == "21fe31dfa154a261626bf854046fd2271b7bed4b6abe45aa58877ef47f9721b9"


@given(st.binary(max_size=200))
def test_what_was_signed_comes_out(payload: bytes) -> None:
    assert dsse.open_envelope(dsse.sign(payload, KIND, KEYS[0]), KIND, (RAW[0],)) == payload


def test_either_key_of_a_rotation_opens() -> None:
    for key in KEYS[:2]:
        assert dsse.open_envelope(dsse.sign(PAYLOAD, KIND, key), KIND, (RAW[0], RAW[1])) == PAYLOAD


def test_one_good_signature_among_foreign_ones_is_enough() -> None:
    foreign = json.loads(dsse.sign(PAYLOAD, KIND, KEYS[2]))["signatures"]
    assert _opened(_with(signatures=foreign * 3 + json.loads(ENVELOPE)["signatures"])) == PAYLOAD


def test_the_key_id_is_a_hint_and_decides_nothing() -> None:
    signature = json.loads(ENVELOPE)["signatures"][0]["sig"]
    assert _opened(_with(signatures=[{"sig": signature}])) == PAYLOAD
    assert _opened(_with(signatures=[{"sig": signature, "keyid": dsse.key_id(RAW[2])}])) == PAYLOAD
    forged = json.loads(dsse.sign(PAYLOAD, KIND, KEYS[2]))["signatures"][0]["sig"]
    assert (
        "no signature"
        in problems(_opened, _with(signatures=[{"sig": forged, "keyid": dsse.key_id(RAW[0])}]))["$"]
    )


def test_another_owner_s_signature_is_none() -> None:
    with pytest.raises(DocumentError, match="no signature by the owner keys") as refused:
        dsse.open_envelope(dsse.sign(PAYLOAD, KIND, KEYS[2]), KIND, (RAW[0], RAW[1]))
    assert dsse.key_id(RAW[0])[:16] in str(refused.value)
    with pytest.raises(DocumentError):
        dsse.open_envelope(ENVELOPE, KIND, ())
    with pytest.raises(DocumentError):
        dsse.open_envelope(ENVELOPE, KIND, (b"short",))


def test_a_document_of_another_type_is_refused_even_if_the_label_is_changed() -> None:
    routes = dsse.sign(PAYLOAD, dsse.ROUTES_TYPE, KEYS[0])
    assert "payloadType" in problems(_opened, routes)["$"]
    relabelled = json.dumps({**json.loads(routes), "payloadType": KIND}).encode()
    assert "no signature" in problems(_opened, relabelled)["$"]


@pytest.mark.parametrize(
    "data",
    [
        b"[]",
        b"null",
        b"{}",
        PAYLOAD,
        _with(signatures=[]),
        _with(signatures={}),
        _with(signatures=json.loads(ENVELOPE)["signatures"] * 5),
        _with(signatures=[[]]),
        _with(signatures=[{}]),
        _with(signatures=[{"keyid": "x"}]),
        _with(signatures=[{"sig": 1}]),
        _with(signatures=[{"sig": "", "keyid": 1}]),
        _with(signatures=[{"sig": "", "cert": "x"}]),
        _with(payload=1),
        _with(payload=None),
        _with(payloadType=None),
        _with(payloadType=""),
        _with(more=1),
    ],
)
def test_another_shape_is_refused(data: bytes) -> None:
    assert problems(_opened, data)


def test_a_document_that_nobody_signed_is_told_how() -> None:
    for data, told in ((b'{"schema": "tunnel-fleet/1"}', True), (b"{}", False), (b"[]", False)):
        with pytest.raises(DocumentError) as caught:
            _opened(data)
        assert ("tunnel-fleet document --sign" in caught.value.hint) is told


@pytest.mark.parametrize("text", ["?", "YQ", "YQ=", "YQ==\n", "YQ== ", "Y-_=", "é", "===="])
def test_base64_is_read_strictly(text: str) -> None:
    assert "$.payload" in problems(_opened, _with(payload=text))
    assert "$.signatures" in problems(_opened, _with(signatures=[{"sig": text}]))


def test_no_flipped_bit_anywhere_brings_out_another_payload() -> None:
    for position in range(len(ENVELOPE)):
        for bit in range(8):
            data = bytearray(ENVELOPE)
            data[position] ^= 1 << bit
            try:
                assert _opened(bytes(data)) == PAYLOAD
            except DocumentError as error:
                assert error.problems


def test_every_flipped_bit_of_signature_payload_and_type_is_refused() -> None:
    envelope = json.loads(ENVELOPE)
    signature = base64.b64decode(envelope["signatures"][0]["sig"])
    for raw, make in (
        (signature, lambda value: {"signatures": [{"sig": base64.b64encode(value).decode()}]}),
        (PAYLOAD, lambda value: {"payload": base64.b64encode(value).decode()}),
    ):
        for position in range(len(raw) * 8):
            flipped = bytearray(raw)
            flipped[position // 8] ^= 1 << position % 8
            assert problems(_opened, _with(**make(bytes(flipped))))


@given(st.binary(max_size=100))
def test_any_bytes_are_refused(data: bytes) -> None:
    accepts_or_refuses(_opened, data)
