"""Keys that vendors use are read; keys made to be dear to check are not, and no other kind is."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from runtime.attestation import public_keys

ODD = 1 << 2047 | 1


def rsa_key(modulus: int = ODD, exponent: int = 65537) -> rsa.RSAPublicKey:
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


@pytest.mark.parametrize(
    "key",
    [
        rsa_key(),
        rsa_key(1 << 4095 | 1),
        ec.generate_private_key(ec.SECP256R1()).public_key(),
        ec.generate_private_key(ec.SECP384R1()).public_key(),
    ],
    ids=["rsa-2048", "rsa-4096", "p-256", "p-384"],
)
def test_what_vendors_use_is_accepted(key: public_keys.PublicKey) -> None:
    assert public_keys.accept(key) is key


@pytest.mark.parametrize(
    "key",
    [
        rsa_key(1 << 4096 | 1),
        rsa_key(exponent=3),
        rsa_key(exponent=1 << 2046 | 1),
        ec.generate_private_key(ec.SECP521R1()).public_key(),
        ed25519.Ed25519PrivateKey.generate().public_key(),
    ],
    ids=["long", "short-exponent", "long-exponent", "p-521", "ed25519"],
)
def test_what_nobody_uses_is_refused(key: object) -> None:
    with pytest.raises(TypeError, match="neither RSA"):
        public_keys.accept(key)
