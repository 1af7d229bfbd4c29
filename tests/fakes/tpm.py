"""A software TPM's statements in the real format, every field settable, really signed. Pure.

TCG Part 2: TPMS_ATTEST (10.12.12), TPMT_SIGNATURE (11.3.4), TPM2B_PUBLIC (12.2.5).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

SHA1, SHA256, SHA384, SHA512 = 0x0004, 0x000B, 0x000C, 0x000D
RSASSA, ECDSA, NULL = 0x0014, 0x0018, 0x0010
AK_ATTRIBUTES = 0x00050072  # fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, restricted, sign
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """Return one key per name, made once."""
    assert name
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def ec_key(name: str) -> ec.EllipticCurvePrivateKey:
    """Return one P-256 key per name, made once."""
    assert name
    return ec.generate_private_key(ec.SECP256R1())


def sized(data: bytes) -> bytes:
    """Return a TPM2B."""
    return struct.pack(">H", len(data)) + data


def selection(registers: Sequence[int] | frozenset[int], bank: int = SHA256, size: int = 3) -> bytes:
    """Return a TPMS_PCR_SELECTION."""
    bits = sum(1 << index for index in registers)
    return struct.pack(">HB", bank, size) + bits.to_bytes(size, "little")


def pcr_digest(values: Mapping[int, bytes]) -> bytes:
    """Return what a SHA-256 scheme's quote says of the values."""
    return sha256(b"".join(values[index] for index in sorted(values))).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeQuote:
    """The fields of TPMS_ATTEST; `message` is its bytes."""

    values: Mapping[int, bytes]
    bank: int = SHA256
    magic: int = 0xFF544347
    kind: int = 0x8018
    qualified_signer: bytes = b"\x00\x0b" + b"\x11" * 32
    qualifying_data: bytes = b"\x22" * 32
    clock: int = 1000
    reset_count: int = 1
    restart_count: int = 0
    safe: int = 1
    firmware_version: int = 0x2020031200120003
    selections: tuple[bytes, ...] | None = None
    digest: bytes | None = None
    trailing: bytes = b""

    @property
    def message(self) -> bytes:
        """The bytes that a TPM signs."""
        chosen = self.selections
        if chosen is None:
            chosen = (selection(sorted(self.values), self.bank),)
        return (
            struct.pack(">IH", self.magic, self.kind)
            + sized(self.qualified_signer)
            + sized(self.qualifying_data)
            + struct.pack(
                ">QIIBQ", self.clock, self.reset_count, self.restart_count, self.safe, self.firmware_version
            )
            + struct.pack(">I", len(chosen))
            + b"".join(chosen)
            + sized(pcr_digest(self.values) if self.digest is None else self.digest)
            + self.trailing
        )


def sign(key: PrivateKey, message: bytes, algorithm: hashes.HashAlgorithm | None = None) -> bytes:
    """Return a bare signature: PKCS#1 v1.5, or ECDSA in DER."""
    chosen = algorithm or hashes.SHA256()
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PKCS1v15(), chosen)
    return key.sign(message, ec.ECDSA(chosen))


def tpmt(key: PrivateKey, message: bytes, *, algorithm: int = SHA256, named: int | None = None) -> bytes:
    """Return a TPMT_SIGNATURE; `named` is the hash it claims."""
    chosen = {SHA1: hashes.SHA1(), SHA256: hashes.SHA256(), SHA384: hashes.SHA384()}[algorithm]  # noqa: S303 - refused by what is tested
    bare = sign(key, message, chosen)
    said = algorithm if named is None else named
    if isinstance(key, rsa.RSAPrivateKey):
        return struct.pack(">HH", RSASSA, said) + sized(bare)
    r, s = decode_dss_signature(bare)
    return struct.pack(">HH", ECDSA, said) + sized(r.to_bytes(32, "big")) + sized(s.to_bytes(32, "big"))


def tpm2b_public(
    key: PrivateKey,
    *,
    attributes: int = AK_ATTRIBUTES,
    name_algorithm: int = SHA256,
    symmetric: int = NULL,
    scheme: bytes | None = None,
    kind: int | None = None,
    exponent: int = 0,
    bits: int | None = None,
    curve: int = 0x0003,
    kdf: int = NULL,
    point: tuple[int, int] | None = None,
) -> bytes:
    """Return a TPM2B_PUBLIC of a signing key."""
    head = struct.pack(">HI", name_algorithm, attributes) + sized(b"") + struct.pack(">H", symmetric)
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.public_key().public_numbers()
        body = scheme if scheme is not None else struct.pack(">HH", RSASSA, SHA256)
        body += struct.pack(">HI", key.key_size if bits is None else bits, exponent)
        body += sized(numbers.n.to_bytes(key.key_size // 8, "big"))
        area = struct.pack(">H", 0x0001 if kind is None else kind) + head + body
    else:
        public = key.public_key().public_numbers()
        x, y = point or (public.x, public.y)
        body = scheme if scheme is not None else struct.pack(">HH", ECDSA, SHA256)
        body += struct.pack(">HH", curve, kdf) + sized(x.to_bytes(32, "big")) + sized(y.to_bytes(32, "big"))
        area = struct.pack(">H", 0x0023 if kind is None else kind) + head + body
    return sized(area)


@dataclass(slots=True)
class FakeTpm:
    """A TPM with one bank: registers to extend, one attestation key to quote with."""

    key: PrivateKey = field(default_factory=lambda: rsa_key("ak"))
    pcrs: dict[int, bytes] = field(default_factory=lambda: {index: bytes(32) for index in range(24)})

    def extend(self, register: int, digest: bytes) -> None:
        """Extend one register of the SHA-256 bank."""
        self.pcrs[register] = sha256(self.pcrs[register] + digest).digest()

    def quote(
        self, qualifying_data: bytes, registers: Sequence[int]
    ) -> tuple[bytes, bytes, dict[int, bytes]]:
        """Return message, TPMT_SIGNATURE and the values that were quoted."""
        values = {index: self.pcrs[index] for index in registers}
        message = FakeQuote(values=values, qualifying_data=qualifying_data).message
        return message, tpmt(self.key, message), values
