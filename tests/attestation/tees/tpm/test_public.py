"""Public keys: four forms, one spelling each, weak ones refused."""

from __future__ import annotations

import base64
import struct
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from runtime.attestation.tees.tpm import public
from runtime.errors import MalformedError
from tests.fakes import tpm

RSA, EC = tpm.rsa_key("ak"), tpm.ec_key("ak")
N = RSA.public_key().public_numbers().n


def pem(key: Any) -> bytes:
    return bytes(
        key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def jwk_number(value: int) -> str:
    return base64.urlsafe_b64encode(value.to_bytes(256, "big")).rstrip(b"=").decode()


def jwk(**changes: Any) -> dict[str, Any]:
    return {"kty": "RSA", "n": jwk_number(N), "e": "AQAB"} | changes


@pytest.mark.parametrize("key", [RSA, EC, ec.generate_private_key(ec.SECP384R1())])
def test_every_form_is_the_same_key(key: tpm.PrivateKey) -> None:
    wanted = public.spki(key.public_key())
    assert public.spki(public.load(wanted, "AK")) == wanted
    assert public.spki(public.load(pem(key.public_key()), "AK")) == wanted


@pytest.mark.parametrize("key", [RSA, EC])
def test_tpm2b_public(key: tpm.PrivateKey) -> None:
    for data in (tpm.tpm2b_public(key), tpm.tpm2b_public(key, scheme=b"\x00\x10", exponent=0)):
        found = public.load_tpm2b(data, "AK")
        assert public.spki(found.key) == public.spki(key.public_key())
        assert found.is_attestation_key
        assert found.name_algorithm == tpm.SHA256


@pytest.mark.parametrize("bit", [1, 4, 5, 16, 18])
def test_an_attestation_key_has_every_attribute(bit: int) -> None:
    data = tpm.tpm2b_public(RSA, attributes=tpm.AK_ATTRIBUTES & ~(1 << bit))
    assert not public.load_tpm2b(data, "AK").is_attestation_key


def test_an_attestation_key_does_not_decrypt() -> None:
    data = tpm.tpm2b_public(RSA, attributes=tpm.AK_ATTRIBUTES | 1 << 17)
    assert not public.load_tpm2b(data, "AK").is_attestation_key


@pytest.mark.parametrize(
    ("data", "text", "offset"),
    [
        (tpm.tpm2b_public(RSA) + b"\0", "size is", 0),
        (tpm.tpm2b_public(RSA, name_algorithm=0x12), "nameAlg", 4),
        (tpm.tpm2b_public(RSA, kind=0x8), "type is 0x0008", 2),
        (tpm.tpm2b_public(RSA, symmetric=0x6), "symmetric is 0x0006", 12),
        (tpm.tpm2b_public(RSA, scheme=struct.pack(">HH", 0x16, 0xB)), "scheme is 0x0016", 14),
        (tpm.tpm2b_public(RSA, bits=1024), "keyBits is 1024", 18),
        (tpm.tpm2b_public(RSA, exponent=3), "exponent 3", None),
        (tpm.tpm2b_public(EC, curve=5), "curveID is 0x0005", 18),
        (tpm.tpm2b_public(EC, kdf=0x20), "kdf is 0x0020", 20),
        (tpm.tpm2b_public(EC, point=(1, 1)), "not a point", 22),
        (tpm.sized(tpm.tpm2b_public(EC)[2:] + b"\0"), "1 bytes behind", 90),
    ],
)
def test_what_is_no_tpm2b_public_is_refused(data: bytes, text: str, offset: int | None) -> None:
    with pytest.raises(MalformedError, match=text) as refusal:
        public.load_tpm2b(data, "AK")
    assert refusal.value.offset == offset


def weak_rsa(modulus: int, exponent: int = 65537) -> bytes:
    numbers = rsa.RSAPublicNumbers(exponent, modulus)
    return public.spki(numbers.public_key())


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (pem(RSA.public_key()).ljust(4097, b"\n"), "is 4097 bytes, want at most 4096"),
        (weak_rsa(N - 1), "want odd"),
        (b"\x30\x00", "no public key"),
        (pem(RSA.public_key()) * 2, "several keys"),
        (pem(ed25519.Ed25519PrivateKey.generate().public_key()), "neither RSA"),
        (pem(ec.generate_private_key(ec.SECP521R1()).public_key()), "secp521r1"),
        (weak_rsa((1 << 1023) | 1), "1024 bits"),
        (weak_rsa(N, 3), "exponent 3"),
        (weak_rsa((1 << 4096) | 1), "4097 bits"),
    ],
)
def test_what_is_no_key_or_a_weak_one_is_refused(data: bytes, text: str) -> None:
    with pytest.raises(MalformedError, match=text):
        public.load(data, "AK")


def test_a_second_spelling_of_a_key_is_refused() -> None:
    point = EC.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
    )
    whole = EC.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    data = public.spki(EC.public_key())
    other = data.replace(b"\x03\x42\x00" + whole, b"\x03\x22\x00" + point)
    other = other[:1] + bytes([other[1] - 32]) + other[2:]
    with pytest.raises(MalformedError, match="not in DER"):
        public.load(other, "AK")


def test_jwk() -> None:
    assert public.load_jwk(jwk(kid="HCLAkPub"), "AK").public_numbers().n == N


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"kty": "EC"}, "kty is 'EC'"),
        ({"n": 5}, "n: is not base64url"),
        ({"n": None}, "n: is not base64url"),
        ({"n": ""}, "n: is not base64url"),
        ({"n": jwk()["n"] + "=="}, "n: is not base64url"),
        ({"n": jwk()["n"] + "\n"}, "n: is not base64url"),
        ({"n": "*" + jwk()["n"]}, "n: is not base64url"),
        ({"n": "g" * 4097}, "n: is not base64url"),
        ({"n": "g" * 4096}, "a modulus of 24576 bits"),
        ({"n": jwk_number(N - 1)}, "want odd"),
        ({"n": "AAAAA"}, "character is missing"),
        ({"n": jwk()["n"][:-1] + chr(ord(jwk()["n"][-1]) + 1)}, "bits left over"),
        ({"e": "AAEAAQ"}, "begins with a zero byte"),
        ({"e": "Aw"}, "exponent 3"),
    ],
)
def test_what_is_no_strict_jwk_is_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(MalformedError, match=text):
        public.load_jwk(jwk(**changes), "AK")


def rsa_area(bits: int, unique: bytes) -> bytes:
    """Return a TPM2B_PUBLIC of any number."""
    area = tpm.tpm2b_public(RSA)[2:]
    return tpm.sized(area[: -(2 + 256 + 6)] + struct.pack(">HI", bits, 0) + tpm.sized(unique))


@pytest.mark.parametrize("bits", [2048, 2056, 3072, 4096])
def test_a_modulus_fills_its_bytes(bits: int) -> None:
    modulus = (1 << bits - 1) | 1
    found = public.load_tpm2b(rsa_area(bits, modulus.to_bytes(bits // 8, "big")), "AK").key
    assert isinstance(found, rsa.RSAPublicKey)
    assert found.public_numbers().n == modulus


@pytest.mark.parametrize(
    ("bits", "unique", "text"),
    [
        (2048, b"\0" + ((1 << 2047) | 1).to_bytes(256, "big"), "keyBits is 2048"),
        (2048, ((1 << 2046) | (1 << 2045) | 1).to_bytes(256, "big"), "keyBits is 2048, unique has 2047"),
        (2049, ((1 << 2048) | 1).to_bytes(257, "big"), "keyBits is 2049"),
        (4104, ((1 << 4103) | 1).to_bytes(513, "big"), "unique.size is 513, want at most 512"),
    ],
)
def test_a_modulus_of_another_length_is_refused(bits: int, unique: bytes, text: str) -> None:
    with pytest.raises(MalformedError, match=text):
        public.load_tpm2b(rsa_area(bits, unique), "AK")


def test_4096_bytes_of_a_key_are_read() -> None:
    assert public.spki(public.load(pem(RSA.public_key()).ljust(4096, b"\n"), "AK")) == public.spki(
        RSA.public_key()
    )


@given(st.binary(min_size=1, max_size=40))
def test_base64url_of_any_length_is_read(raw: bytes) -> None:
    assert public.base64url(base64.urlsafe_b64encode(raw).rstrip(b"=").decode(), "n") == raw


@given(st.binary(max_size=120), st.integers(0, 400))
def test_nothing_but_our_error_comes_out(junk: bytes, cut: int) -> None:
    for data in (junk, tpm.tpm2b_public(EC)[:cut] + junk, public.spki(RSA.public_key())[:cut] + junk):
        for load in (public.load, public.load_tpm2b):
            try:
                load(data, "AK")
            except MalformedError:
                continue


@given(st.text(max_size=30))
def test_base64url_has_one_spelling(text: str) -> None:
    try:
        raw = public.base64url(text, "n")
    except MalformedError:
        return
    assert base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == text
