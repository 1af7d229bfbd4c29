"""Signatures over quotes in the forms they travel in, and whether a key made one. Pure.

    tpmt       TPMT_SIGNATURE (Part 2, 11.3.4), which names scheme and hash
    rsa-pkcs1  the bare number of an RSASSA-PKCS1-v1_5 signature
    ecdsa-der  ECDSA-Sig-Value of RFC 3279

The bare forms do not name the hash: it is the one whose size pcrDigest has, since a TPM hashes both with the
scheme's hash (Part 3, TPM2_Quote). SHA-1 is refused everywhere; so is RSAPSS, which no platform here uses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from runtime.attestation.tees.tpm.attest import SHA256, SHA384, SHA512, Reader
from runtime.attestation.tees.tpm.public import PublicKey
from runtime.errors import MalformedError

Format = Literal["tpmt", "rsa-pkcs1", "ecdsa-der"]
FORMATS: tuple[Format, ...] = get_args(Format)

# TPM_ALG_ID, table 9
_RSASSA, _ECDSA = 0x0014, 0x0018
HASHES: Mapping[int, hashes.HashAlgorithm] = MappingProxyType(
    {SHA256: hashes.SHA256(), SHA384: hashes.SHA384(), SHA512: hashes.SHA512()}
)
_BY_SIZE = {algorithm.digest_size: number for number, algorithm in HASHES.items()}
_PKCS1 = padding.PKCS1v15()
MAX_RSA_BYTES = 512  # RSA-4096
MAX_COORDINATE_BYTES = 48  # P-384
_MAX_SIZE = 2 + 2 + 2 + MAX_RSA_BYTES
_WHAT = "TPM quote signature"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One signature, its encoding read; whose it is is not known."""

    scheme: Literal["rsassa", "ecdsa"]
    hash: int | None  # TPM_ALG_ID, a key of HASHES; None: a bare form, which does not name it
    value: bytes  # RSA: the number; ECDSA: ECDSA-Sig-Value


def parse(data: bytes, form: Format) -> Signature:
    """Read a signature. Raises: MalformedError."""
    if form == "tpmt":
        return _tpmt(data)
    if len(data) > _MAX_SIZE:
        raise MalformedError(_WHAT, f"is {len(data)} bytes, want at most {_MAX_SIZE}")
    if form == "rsa-pkcs1":
        return Signature(scheme="rsassa", hash=None, value=data)
    try:
        decode_dss_signature(data)  # takes DER only, nothing behind it
    except ValueError as error:
        raise MalformedError(_WHAT, "is no ECDSA-Sig-Value", offset=0) from error
    return Signature(scheme="ecdsa", hash=None, value=data)


def _tpmt(data: bytes) -> Signature:
    reader = Reader(data, _WHAT, _MAX_SIZE)
    scheme, named = reader.number(2, "sigAlg"), reader.number(2, "hash")
    if scheme not in {_RSASSA, _ECDSA}:
        raise reader.fail(f"sigAlg is {scheme:#06x}, want 0x0014 (RSASSA) or 0x0018 (ECDSA)", 0)
    if named not in HASHES:
        raise reader.fail(f"hash is {named:#06x}, want SHA-256, SHA-384 or SHA-512", 2)
    if scheme == _RSASSA:
        found = Signature(scheme="rsassa", hash=named, value=reader.sized(MAX_RSA_BYTES, "rsassa.sig"))
    else:
        r = int.from_bytes(reader.sized(MAX_COORDINATE_BYTES, "ecdsa.signatureR"), "big")
        s = int.from_bytes(reader.sized(MAX_COORDINATE_BYTES, "ecdsa.signatureS"), "big")
        found = Signature(scheme="ecdsa", hash=named, value=encode_dss_signature(r, s))
    reader.end()
    return found


def hash_of(signature: Signature, pcr_digest: bytes) -> int | None:
    """Return the hash that signature and pcrDigest agree on, None if they do not."""
    found = _BY_SIZE.get(len(pcr_digest))
    return found if signature.hash in {None, found} else None


def made_by(key: PublicKey, signature: Signature, algorithm: int, message: bytes) -> bool:
    """Tell whether `key` signed `message` with this hash; a key of another kind did not."""
    chosen = HASHES[algorithm]
    try:
        if isinstance(key, rsa.RSAPublicKey):
            if signature.scheme != "rsassa":
                return False
            key.verify(signature.value, message, _PKCS1, chosen)
        else:
            if signature.scheme != "ecdsa":
                return False
            key.verify(signature.value, message, ec.ECDSA(chosen))
    except InvalidSignature:
        return False
    return True
