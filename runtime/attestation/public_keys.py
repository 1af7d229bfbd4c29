"""Which public keys a certificate may hold: the kinds and sizes that vendors use. Pure.

Whoever sends certificates chooses their keys, and a key decides what checking a signature costs: with an
exponent as long as the modulus a hundred times as much (8 ms at 3072 bits), for each certificate of a path.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec, rsa

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
_MAX_RSA_BITS, _EXPONENT = 4096, 65537
_CURVES = ec.SECP256R1 | ec.SECP384R1


def accept(key: object) -> PublicKey:
    """Return the key if it is of a kind that is read here. Raises: TypeError."""
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size <= _MAX_RSA_BITS and key.public_numbers().e == _EXPONENT:
            return key
    elif isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES):
        return key
    message = "its key is neither RSA of at most 4096 bits with the exponent 65537, nor on P-256 or P-384"
    raise TypeError(message)
