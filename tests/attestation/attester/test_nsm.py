"""Requests byte by byte, and responses of a module that refuses, or of no module."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.attestation.attester import nsm
from runtime.errors import MalformedError, UnsupportedTeeError
from tests.fakes.nitro import Indefinite, cbor


@pytest.mark.parametrize("user_data", [None, b"", b"u" * 23, b"u" * 24, b"u" * 64, b"u" * 256, b"u" * 1024])
@pytest.mark.parametrize("nonce", [None, b"n" * 32])
def test_a_request_is_cbor(user_data: bytes | None, nonce: bytes | None) -> None:
    wanted = {"Attestation": {"user_data": user_data, "nonce": nonce, "public_key": None}}
    assert nsm.request(user_data=user_data, nonce=nonce) == cbor(wanted)


@pytest.mark.parametrize("size", [0, 23, 24, 255, 256, 5000])
@pytest.mark.parametrize("behind", [b"", b"\0" * 100, b"\xff" * 100])
def test_the_document_of_a_response(size: int, behind: bytes) -> None:
    document = bytes(size)
    assert nsm.document(cbor({"Attestation": {"document": document}}) + behind) == document
    indefinite = Indefinite({"Attestation": Indefinite({"document": document})})
    assert nsm.document(cbor(indefinite) + behind) == document


def test_a_refusal_names_the_module_s_reason() -> None:
    with pytest.raises(UnsupportedTeeError, match="InputTooLarge"):
        nsm.document(cbor({"Error": "InputTooLarge"}))


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"Other": 1},
        {"Attestation": {}},
        {"Attestation": {"other": b""}},
        {"Attestation": {"document": "text"}},
        {"Attestation": {"document": 7}},
        {"Attestation": b""},
        [],
        7,
        None,
    ],
)
def test_another_response_is_malformed(value: object) -> None:
    with pytest.raises(MalformedError):
        nsm.document(cbor(value))


def test_a_document_that_ends_early_is_malformed() -> None:
    with pytest.raises(MalformedError):
        nsm.document(cbor({"Attestation": {"document": bytes(5000)}})[:-1])


@given(st.binary(max_size=64))
def test_any_bytes_are_a_response_or_our_error(data: bytes) -> None:
    with contextlib.suppress(MalformedError, UnsupportedTeeError):
        nsm.document(data)
