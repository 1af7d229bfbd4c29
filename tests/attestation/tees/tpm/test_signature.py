"""Signatures in their three forms: exact encodings, strong hashes, the right kind of key."""

from __future__ import annotations

import struct

import pytest
from cryptography.hazmat.primitives import hashes
from hypothesis import given
from hypothesis import strategies as st

from runtime.attestation.tees.tpm import signature
from runtime.errors import MalformedError
from tests.fakes import tpm
from tests.fakes.tpm import SHA1, SHA256, SHA384

MESSAGE = b"message"
RSA, EC = tpm.rsa_key("ak"), tpm.ec_key("ak")
FORMS: dict[str, tuple[bytes, signature.Format, tpm.PrivateKey, tpm.PrivateKey]] = {
    "tpmt rsa": (tpm.tpmt(RSA, MESSAGE), "tpmt", RSA, EC),
    "tpmt ecdsa": (tpm.tpmt(EC, MESSAGE), "tpmt", EC, RSA),
    "rsa-pkcs1": (tpm.sign(RSA, MESSAGE), "rsa-pkcs1", RSA, EC),
    "ecdsa-der": (tpm.sign(EC, MESSAGE), "ecdsa-der", EC, RSA),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_signer_and_nobody_else_made_it(form: str) -> None:
    data, spelled, key, other = FORMS[form]
    found = signature.parse(data, spelled)
    assert signature.hash_of(found, bytes(32)) == SHA256
    assert signature.made_by(key.public_key(), found, SHA256, MESSAGE)
    assert not signature.made_by(key.public_key(), found, SHA256, MESSAGE + b"!")
    assert not signature.made_by(key.public_key(), found, SHA384, MESSAGE)
    assert not signature.made_by(other.public_key(), found, SHA256, MESSAGE)


def test_signatures_of_4096_bits_fit() -> None:
    value = b"\x80" + bytes(511)
    data = struct.pack(">HHH", 0x0014, SHA256, 512) + value
    assert (len(data), signature.parse(data, "tpmt").value) == (518, value)
    assert signature.parse(bytes(518), "rsa-pkcs1").value == bytes(518)  # whose length no key has


def test_the_hash_is_the_one_both_agree_on() -> None:
    named = signature.parse(tpm.tpmt(RSA, MESSAGE, algorithm=SHA384), "tpmt")
    bare = signature.parse(tpm.sign(RSA, MESSAGE, hashes.SHA384()), "rsa-pkcs1")
    for found in (named, bare):
        assert signature.hash_of(found, bytes(48)) == SHA384
        assert signature.made_by(RSA.public_key(), found, SHA384, MESSAGE)
    assert signature.hash_of(named, bytes(32)) is None
    assert signature.hash_of(bare, bytes(20)) is None  # SHA-1


@pytest.mark.parametrize(
    ("data", "form", "text", "offset"),
    [
        (tpm.tpmt(RSA, MESSAGE, named=SHA1), "tpmt", "hash is 0x0004", 2),
        (b"\0\x16" + tpm.tpmt(RSA, MESSAGE)[2:], "tpmt", "sigAlg is 0x0016", 0),
        (tpm.tpmt(RSA, MESSAGE) + b"\0", "tpmt", "1 bytes behind", 262),
        (tpm.tpmt(RSA, MESSAGE)[:-1], "tpmt", "rsassa.sig needs 256", 6),
        (struct.pack(">HHH", 0x14, 0xB, 513), "tpmt", "rsassa.sig.size is 513", 4),
        (struct.pack(">HHH", 0x18, 0xB, 49), "tpmt", "signatureR.size is 49", 4),
        (bytes(519), "rsa-pkcs1", "is 519 bytes, want at most 518", None),
        (bytes(519), "tpmt", "want at most 518", None),
        (b"\x30\x00", "ecdsa-der", "no ECDSA-Sig-Value", 0),
    ],
)
def test_what_is_no_signature_is_refused(
    data: bytes, form: signature.Format, text: str, offset: int | None
) -> None:
    with pytest.raises(MalformedError, match=text) as refusal:
        signature.parse(data, form)
    assert refusal.value.offset == offset


@given(st.sampled_from(["tpmt", "ecdsa-der", "rsa-pkcs1"]), st.binary(max_size=80), st.integers(0, 300))
def test_nothing_but_our_error_comes_out(form: signature.Format, junk: bytes, cut: int) -> None:
    for data in (junk, tpm.tpmt(EC, MESSAGE)[:cut], tpm.sign(EC, MESSAGE)[:cut] + junk):
        try:
            found = signature.parse(data, form)
        except MalformedError:
            continue
        for key in (RSA, EC):
            assert signature.made_by(key.public_key(), found, SHA256, MESSAGE + b"other") is False
