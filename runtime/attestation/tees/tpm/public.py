"""Public keys in the forms that attestation keys come in, each with one accepted spelling. Pure.

    SubjectPublicKeyInfo, DER or one PEM block · TPM2B_PUBLIC (Part 2, 12.2.5) · JWK (RFC 7517, RSA only)

RSA of 2048 to 4096 bits with the exponent 65537, P-256 and P-384; anything else is malformed. That a key is
an attestation key is not known from its form: a TPM2B_PUBLIC says so itself, which counts for nothing until
somebody trusted vouches for it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from runtime.attestation.tees.tpm.attest import DIGEST_BYTES, MAX_DIGEST_BYTES, Reader
from runtime.errors import MalformedError

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

MAX_KEY_SIZE = 4096  # bytes; an RSA-4096 key is under 1 KiB in any form
_RSA_BITS = range(2048, 4097)
_EXPONENT = 65537

# TPM_ALG_ID, table 9; TPM_ECC_CURVE, table 10
_RSA, _NULL, _RSASSA, _ECDSA, _ECC = 0x0001, 0x0010, 0x0014, 0x0018, 0x0023
_CURVES: Mapping[int, ec.EllipticCurve] = {0x0003: ec.SECP256R1(), 0x0004: ec.SECP384R1()}

# TPMA_OBJECT, table 35: what makes a signing key an attestation key, and what would unmake it
_FIXED_TPM, _FIXED_PARENT, _DATA_ORIGIN = 1 << 1, 1 << 4, 1 << 5
_RESTRICTED, _DECRYPT, _SIGN = 1 << 16, 1 << 17, 1 << 18
_MUST = _FIXED_TPM | _FIXED_PARENT | _DATA_ORIGIN | _RESTRICTED | _SIGN
_PEM = b"-----BEGIN PUBLIC KEY-----"
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")


def spki(key: PublicKey) -> bytes:
    """Return SubjectPublicKeyInfo in DER: the form in which keys are compared."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def load(data: bytes, what: str) -> PublicKey:
    """Read a SubjectPublicKeyInfo, DER or one PEM block. Raises: MalformedError."""
    if len(data) > MAX_KEY_SIZE:
        raise MalformedError(what, f"is {len(data)} bytes, want at most {MAX_KEY_SIZE}")
    pem = data.lstrip().startswith(_PEM)
    if data.count(_PEM) > 1:
        raise MalformedError(what, "holds several keys, want one")
    try:
        key = (serialization.load_pem_public_key if pem else serialization.load_der_public_key)(data)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise MalformedError(what, "is no public key that can be read", offset=0) from error
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise MalformedError(what, "is neither RSA nor elliptic curve")
    accepted = accept(key, what)
    if not pem and spki(accepted) != data:
        raise MalformedError(what, "is not in DER", offset=0)
    return accepted


def accept(key: PublicKey, what: str) -> PublicKey:
    """Return the key if it is of a kind and size accepted here. Raises: MalformedError."""
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        _check_rsa(numbers.n, numbers.e, what)
        return key
    if not isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1):
        raise MalformedError(what, f"is on the curve {key.curve.name}, want P-256 or P-384")
    return key


def _rsa(modulus: int, exponent: int, what: str) -> rsa.RSAPublicKey:
    _check_rsa(modulus, exponent, what)
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def _check_rsa(modulus: int, exponent: int, what: str) -> None:
    if modulus.bit_length() not in _RSA_BITS or not modulus & 1:
        raise MalformedError(what, f"has a modulus of {modulus.bit_length()} bits, want odd, 2048 to 4096")
    if exponent != _EXPONENT:
        raise MalformedError(what, f"has the exponent {exponent}, want {_EXPONENT}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TpmPublic:
    """A TPM2B_PUBLIC: the key, and what the TPM would do with it."""

    key: PublicKey
    attributes: int  # TPMA_OBJECT
    name_algorithm: int  # TPM_ALG_ID

    @property
    def is_attestation_key(self) -> bool:
        """Whether it was made in the TPM, cannot leave it and signs nothing but what the TPM itself made."""
        return self.attributes & (_MUST | _DECRYPT) == _MUST


def load_tpm2b(data: bytes, what: str) -> TpmPublic:
    """Read a TPM2B_PUBLIC of a signing key. Raises: MalformedError."""
    reader = Reader(data, what, MAX_KEY_SIZE)
    if (size := reader.number(2, "size")) != len(data) - 2:
        raise reader.fail(f"size is {size}, want {len(data) - 2}", 0)
    kind, name_algorithm = reader.number(2, "type"), reader.number(2, "nameAlg")
    if name_algorithm not in DIGEST_BYTES:
        raise reader.fail(f"nameAlg is {name_algorithm:#06x}, want one of {sorted(DIGEST_BYTES)}", 4)
    attributes = reader.number(4, "objectAttributes")
    reader.sized(MAX_DIGEST_BYTES, "authPolicy")
    if kind not in {_RSA, _ECC}:
        raise reader.fail(f"type is {kind:#06x}, want 0x0001 (RSA) or 0x0023 (ECC)", 2)
    start = reader.offset
    if (symmetric := reader.number(2, "symmetric")) != _NULL:
        raise reader.fail(f"symmetric is {symmetric:#06x}, want 0x0010 (none: it signs)", start)
    key = _tpm_rsa(reader, what) if kind == _RSA else _tpm_ecc(reader)
    reader.end()
    return TpmPublic(key=key, attributes=attributes, name_algorithm=name_algorithm)


def _scheme(reader: Reader, field: str, known: int) -> None:
    """TPMT_*_SCHEME: nothing, or the one scheme with its hash."""
    start = reader.offset
    scheme = reader.number(2, field)
    if scheme == _NULL:
        return
    if scheme != known:
        raise reader.fail(f"{field} is {scheme:#06x}, want {known:#06x} or none", start)
    reader.number(2, f"{field}.hashAlg")


def _tpm_rsa(reader: Reader, what: str) -> rsa.RSAPublicKey:
    _scheme(reader, "scheme", _RSASSA)
    start = reader.offset
    bits, exponent = reader.number(2, "keyBits"), reader.number(4, "exponent")
    raw = reader.sized(_RSA_BITS[-1] // 8, "unique")
    modulus = int.from_bytes(raw, "big")
    if modulus.bit_length() != bits or len(raw) * 8 != bits:
        raise reader.fail(f"keyBits is {bits}, unique has {modulus.bit_length()}", start)
    return _rsa(modulus, exponent or _EXPONENT, what)  # 0 means 65537 (table 184)


def _tpm_ecc(reader: Reader) -> ec.EllipticCurvePublicKey:
    _scheme(reader, "scheme", _ECDSA)
    start = reader.offset
    curve = _CURVES.get(number := reader.number(2, "curveID"))
    if curve is None:
        raise reader.fail(f"curveID is {number:#06x}, want 0x0003 or 0x0004", start)
    start = reader.offset
    if (kdf := reader.number(2, "kdf")) != _NULL:
        raise reader.fail(f"kdf is {kdf:#06x}, want 0x0010 (none)", start)
    start = reader.offset
    size = curve.key_size // 8
    x = int.from_bytes(reader.sized(size, "unique.x"), "big")
    y = int.from_bytes(reader.sized(size, "unique.y"), "big")
    try:
        return ec.EllipticCurvePublicNumbers(x, y, curve).public_key()
    except ValueError as error:
        raise reader.fail("unique is not a point of its curve", start) from error


def load_jwk(jwk: Mapping[str, Any], what: str) -> rsa.RSAPublicKey:
    """Read the key of an RSA JWK; other members are the caller's. Raises: MalformedError."""
    if jwk.get("kty") != "RSA":
        raise MalformedError(what, f"kty is {jwk.get('kty')!r}, want 'RSA'")
    modulus, exponent = (_unsigned(jwk.get(name), f"{what} {name}") for name in ("n", "e"))
    return _rsa(modulus, exponent, what)


def _unsigned(text: object, what: str) -> int:
    """Base64urlUInt (RFC 7518, section 2): no padding, no zero byte in front, no other characters."""
    raw = base64url(text, what)
    if raw[:1] == b"\0":
        raise MalformedError(what, "begins with a zero byte")
    return int.from_bytes(raw, "big")


def base64url(text: object, what: str) -> bytes:
    """Read base64url without padding, at least one byte, one spelling. Raises: MalformedError.

    Python's decoder passes over characters that it does not know, so two spellings would mean one key.
    """
    if not isinstance(text, str) or len(text) > MAX_KEY_SIZE or not _BASE64URL.fullmatch(text):
        raise MalformedError(what, "is not base64url without padding")
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError as error:
        raise MalformedError(what, "is not base64url: a character is missing") from error
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != text:
        raise MalformedError(what, "is base64url with bits left over")
    return raw
