"""Authorizations byte by byte; that a real TPM agrees with the session's arithmetic is in test_nv.py."""

from __future__ import annotations

import hmac
from hashlib import sha512

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from runtime.attestation.attester.tpm import session
from runtime.attestation.attester.tpm.session import HmacSession, Password
from runtime.attestation.attester.tpm.wire import sized
from runtime.errors import MalformedError
from tests.fakes.tpm import rsa_key

CODE, NAMES, PARAMETERS = 0x20000001, b"\x00\x0d" + bytes(64), b"parameters"


def started() -> HmacSession:
    return HmacSession(
        handle=0x02000000, key=b"k" * 64, auth_value=b"secret", nonce_tpm=b"t" * 64, random=lambda n: b"c" * n
    )


def answered(key: bytes, nonce: bytes, parameters: bytes, attributes: int = 1) -> bytes:
    digest = sha512(bytes(4) + CODE.to_bytes(4, "big") + parameters).digest()
    proof = hmac.digest(key, digest + nonce + b"c" * 64 + b"\x01", "sha512")
    return sized(nonce) + bytes([attributes]) + sized(proof)


def test_a_password_is_sent_as_it_is() -> None:
    area = Password(b"pw").authorize(CODE, NAMES, PARAMETERS)
    assert area.hex() == "40000009" + "0000" + "01" + "0002" + b"pw".hex()
    Password().verify(CODE, b"", b"anything")


def test_the_command_s_hmac_is_over_command_names_parameters_and_both_nonces() -> None:
    area = started().authorize(CODE, NAMES, PARAMETERS)
    digest = sha512(CODE.to_bytes(4, "big") + NAMES + PARAMETERS).digest()
    proof = hmac.digest(b"k" * 64 + b"secret", digest + b"c" * 64 + b"t" * 64 + b"\x01", "sha512")
    assert area == (0x02000000).to_bytes(4, "big") + sized(b"c" * 64) + b"\x01" + sized(proof)


def test_a_genuine_answer_moves_the_nonce_on() -> None:
    one = started()
    one.authorize(CODE, NAMES, PARAMETERS)
    one.verify(CODE, b"answer", answered(b"k" * 64 + b"secret", b"u" * 64, b"answer"))
    assert one.nonce_tpm == b"u" * 64


@pytest.mark.parametrize(
    "area",
    [
        answered(b"k" * 64 + b"guess", b"u" * 64, b"answer"),
        answered(b"k" * 64 + b"secret", b"u" * 64, b"another answer"),
        answered(b"k" * 64 + b"secret", b"u" * 64, b"answer", attributes=0),
        answered(b"k" * 64 + b"secret", b"u" * 64, b"answer") + b"\0",
        answered(b"k" * 64 + b"secret", b"u" * 64, b"answer")[:-1],
        b"",
    ],
    ids=["another key", "other parameters", "session not continued", "trailing", "short", "empty"],
)
def test_an_answer_that_the_tpm_did_not_write_is_refused(area: bytes) -> None:
    one = started()
    one.authorize(CODE, NAMES, PARAMETERS)
    with pytest.raises(MalformedError):
        one.verify(CODE, b"answer", area)


def test_a_session_starts_unbound_salted_and_with_nothing_encrypted() -> None:
    started_with = session.start_parameters(b"n" * 64, b"salt")
    assert started_with == sized(b"n" * 64) + sized(b"salt") + b"\x00" + b"\x00\x10" + b"\x00\x0d"


def test_only_the_key_s_owner_reads_the_salt() -> None:
    private = rsa_key("ek")
    oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=b"SECRET\0")
    assert private.decrypt(session.encrypt_salt(private.public_key(), b"s" * 32), oaep) == b"s" * 32


def test_every_input_changes_the_session_key() -> None:
    keys = {
        session.session_key(salt, tpm, caller)
        for salt in (b"a", b"b")
        for tpm in (b"c", b"d")
        for caller in (b"e", b"f")
    }
    assert len(keys) == 8
    assert {len(key) for key in keys} == {64}
