"""How a command proves that it may: a password, or a salted HMAC session. Pure; randomness is an argument.

TCG Part 1, revision 1.59: sections 17.6 and 18.7 (cpHash, HMAC), 17.6.11 and 11.4.10.2 (session key, KDFa),
B.10.2 (salt under RSA). The answer's HMAC is verified as well: a command whose answer somebody else wrote
counts as not done. Commands that need no proof carry none.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha512
from typing import Protocol

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from runtime.attestation.attester.tpm.wire import RS_PW, sized
from runtime.attestation.tees.tpm.attest import MAX_DIGEST_BYTES, SHA512, Reader
from runtime.errors import MalformedError

SESSION_HMAC = 0x00  # TPM_SE, Part 2 table 24
CONTINUE = 0x01  # TPMA_SESSION: we flush the session ourselves, whatever happens
NONCE_BYTES = 64
SALT_BYTES = 32  # of the salting key's nameAlg, SHA-256
_ALG_NULL = 0x0010
_WHAT = "TPM session"


class Authorization(Protocol):
    """What goes into a command's authorization area, and what must come back."""

    def authorize(self, code: int, names: bytes, parameters: bytes) -> bytes:
        """Return the area for this command; `names` are those of its handles, joined."""
        ...

    def verify(self, code: int, parameters: bytes, authorization: bytes) -> None:
        """Look at the area of the answer. Raises: MalformedError."""
        ...


@dataclass(frozen=True, slots=True)
class Password:
    """TPM_RS_PW: the authorization value itself; empty for the hierarchies of a TPM that nobody took."""

    value: bytes = b""

    def authorize(self, code: int, names: bytes, parameters: bytes) -> bytes:
        return struct.pack(">IHB", RS_PW, 0, CONTINUE) + sized(self.value)

    def verify(self, code: int, parameters: bytes, authorization: bytes) -> None:
        """An answer under a password proves nothing; what was asked for is looked at by its own means."""


@dataclass(slots=True, kw_only=True)
class HmacSession:
    """A started session: HMAC-SHA512 under the session key and the entity's authorization value."""

    handle: int
    key: bytes = field(repr=False)
    auth_value: bytes = field(repr=False)
    nonce_tpm: bytes
    random: Callable[[int], bytes]
    nonce_caller: bytes = b""

    def authorize(self, code: int, names: bytes, parameters: bytes) -> bytes:
        self.nonce_caller = self.random(NONCE_BYTES)
        digest = sha512(struct.pack(">I", code) + names + parameters).digest()
        proof = self._hmac(digest, self.nonce_caller, self.nonce_tpm)
        return struct.pack(">I", self.handle) + sized(self.nonce_caller) + bytes([CONTINUE]) + sized(proof)

    def verify(self, code: int, parameters: bytes, authorization: bytes) -> None:
        reader = Reader(authorization, _WHAT, 4 * MAX_DIGEST_BYTES)
        nonce = reader.sized(MAX_DIGEST_BYTES, "nonceTPM")
        attributes = reader.number(1, "sessionAttributes")
        proof = reader.sized(MAX_DIGEST_BYTES, "hmac")
        reader.end()
        digest = sha512(struct.pack(">II", 0, code) + parameters).digest()
        if attributes != CONTINUE or not hmac.compare_digest(
            proof, self._hmac(digest, nonce, self.nonce_caller)
        ):
            raise MalformedError(
                _WHAT, "the answer's HMAC is wrong: somebody between us and the TPM wrote it"
            )
        self.nonce_tpm = nonce

    def _hmac(self, digest: bytes, newer: bytes, older: bytes) -> bytes:
        text = digest + newer + older + bytes([CONTINUE])
        return hmac.digest(self.key + self.auth_value, text, "sha512")


def start_parameters(nonce_caller: bytes, encrypted_salt: bytes) -> bytes:
    """Return the parameters of TPM2_StartAuthSession: an HMAC session, nothing encrypted, SHA-512."""
    return sized(nonce_caller) + sized(encrypted_salt) + struct.pack(">BHH", SESSION_HMAC, _ALG_NULL, SHA512)


def encrypt_salt(key: rsa.RSAPublicKey, salt: bytes) -> bytes:
    """Return the salt for the TPM's eyes only (B.10.2)."""
    oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=b"SECRET\0")
    return key.encrypt(salt, oaep)


def session_key(salt: bytes, nonce_tpm: bytes, nonce_caller: bytes) -> bytes:
    """Return KDFa(SHA-512, salt, "ATH", nonceTPM, nonceCaller, 512): one round of it, 64 bytes."""
    text = struct.pack(">I", 1) + b"ATH\0" + nonce_tpm + nonce_caller + struct.pack(">I", 512)
    return hmac.digest(salt, text, "sha512")
