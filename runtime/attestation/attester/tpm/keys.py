"""Templates of the keys that are made here, and the parts of a TPM2B_PUBLIC that using them takes. Pure.

Part 2, 12.2.4 (TPMT_PUBLIC). A primary key follows from its hierarchy's seed and its template: the same
template is the same key at every boot, and no key is ever stored.
"""

from __future__ import annotations

import struct

from cryptography.hazmat.primitives.asymmetric import rsa

from runtime.attestation.attester.tpm.wire import sized
from runtime.attestation.tees.tpm.attest import MAX_DIGEST_BYTES, SHA256, Reader
from runtime.attestation.tees.tpm.public import MAX_KEY_SIZE

# TPM_ALG_ID, Part 2 table 9; TPM_ECC_CURVE, table 10
_RSA, _AES, _NULL, _RSASSA, _ECDSA, _ECC, _CFB, _P256 = 1, 6, 0x10, 0x14, 0x18, 0x23, 0x43, 3

# TPMA_OBJECT, table 35: fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, restricted, sign
_AK_ATTRIBUTES = 0x00050072
AK_ECC = (
    struct.pack(">HHI", _ECC, SHA256, _AK_ATTRIBUTES)
    + sized(b"")
    + struct.pack(">HHHHH", _NULL, _ECDSA, SHA256, _P256, _NULL)
    + sized(b"")
    + sized(b"")
)
AK_RSA = (
    struct.pack(">HHI", _RSA, SHA256, _AK_ATTRIBUTES)
    + sized(b"")
    + struct.pack(">HHHHI", _NULL, _RSASSA, SHA256, 2048, 0)
    + sized(b"")
)

# TCG EK Credential Profile 2.5, B.3.3, template L-1: RSA-2048, policy A, decrypts for nobody but the TPM.
_EK_ATTRIBUTES = 0x000300B2
_POLICY_A = bytes.fromhex("837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa")
EK_RSA = (
    struct.pack(">HHI", _RSA, SHA256, _EK_ATTRIBUTES)
    + sized(_POLICY_A)
    + struct.pack(">HHHHHI", _AES, 128, _CFB, _NULL, 2048, 0)
    + sized(bytes(256))
)
_WHAT = "TPM public area"


def template_in_nv(data: bytes) -> bytes:
    """Return the template that Google's firmware left in an NV index: a TPMT_PUBLIC, zeros behind it cut.

    Raises: MalformedError if it is no template of an RSA or ECC key.
    """
    reader = Reader(data, "attestation key template", MAX_KEY_SIZE)
    kind = reader.number(2, "type")
    reader.take(6, "nameAlg and objectAttributes")
    reader.sized(MAX_DIGEST_BYTES, "authPolicy")
    if kind not in {_RSA, _ECC}:
        raise reader.fail(f"type is {kind:#06x}, want 0x0001 (RSA) or 0x0023 (ECC)", 0)
    _optional(reader, "symmetric", 4)
    _optional(reader, "scheme", 2)
    if kind == _RSA:
        reader.take(6, "keyBits and exponent")
        reader.sized(MAX_KEY_SIZE, "unique")
    else:
        reader.take(2, "curveID")
        _optional(reader, "kdf", 2)
        reader.sized(MAX_KEY_SIZE, "unique.x")
        reader.sized(MAX_KEY_SIZE, "unique.y")
    end = reader.offset
    if any(data[end:]):
        raise reader.fail("has bytes behind the template that are not zero", end)
    return data[:end]


def _optional(reader: Reader, field: str, more: int) -> None:
    """Pass over an algorithm and its `more` bytes of details, which TPM_ALG_NULL has none of."""
    if reader.number(2, field) != _NULL:
        reader.take(more, f"{field}.details")


def rsa_of(public: bytes) -> rsa.RSAPublicKey:
    """Return the key of an RSA TPM2B_PUBLIC that encrypts (an EK). Raises: MalformedError."""
    reader = Reader(public, _WHAT, MAX_KEY_SIZE)
    reader.number(2, "size")
    if (kind := reader.number(2, "type")) != _RSA:
        raise reader.fail(f"type is {kind:#06x}, want 0x0001 (RSA)", 2)
    reader.take(6, "nameAlg and objectAttributes")
    reader.sized(MAX_DIGEST_BYTES, "authPolicy")
    _optional(reader, "symmetric", 4)
    _optional(reader, "scheme", 2)
    reader.number(2, "keyBits")
    exponent = reader.number(4, "exponent") or 65537
    modulus = int.from_bytes(reader.sized(512, "unique"), "big")
    reader.end()
    try:
        return rsa.RSAPublicNumbers(exponent, modulus).public_key()
    except ValueError as error:
        raise reader.fail(f"is no RSA key: {error}", 2) from error
