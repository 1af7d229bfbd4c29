"""A throw-away Nitro: certificates of the shape that AWS issues, documents really signed. Pure, but for keys.

The CBOR writer is this file's own, so that the reader under test is not held against itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

from runtime.attestation.tees.nitro import Kind, NitroRoot
from runtime.documents import times

NOW = times.parse("2026-03-01T12:00:00Z")
REGION = "eu-west-1"
MODULE_IDS: Mapping[Kind, str] = {
    "nitrotpm": "i-01cfb383223e42522-tpm0000000000000000",
    "enclave": "i-01cfb383223e42522-enc018aa8b8e2285d13",
}
REGISTERS: Mapping[Kind, str] = {"nitrotpm": "nitrotpm_pcrs", "enclave": "pcrs"}
AUTHORITIES = ("root", "regional", "zonal", "instance")
HOUR = 3600


class Indefinite(dict[Any, Any]):
    """A map that is written with an indefinite length, as NitroTPM writes its fields."""


@dataclass(frozen=True)
class Raw:
    """Bytes that stand for themselves."""

    data: bytes


@dataclass(frozen=True)
class Tag:
    """A value under a tag."""

    number: int
    value: Any


def head(major: int, value: int) -> bytes:
    """Return the shortest head of an item."""
    if value < 24:
        return bytes([major << 5 | value])
    size = next(size for size in (1, 2, 4, 8) if value < 1 << 8 * size)
    return bytes([major << 5 | {1: 24, 2: 25, 4: 26, 8: 27}[size]]) + value.to_bytes(size, "big")


def cbor(value: Any) -> bytes:
    """Return the encoding of a value (RFC 8949)."""
    match value:
        case Raw():
            return value.data
        case Tag():
            return head(6, value.number) + cbor(value.value)
        case None:
            return b"\xf6"
        case int():
            return head(0, value) if value >= 0 else head(1, -1 - value)
        case bytes():
            return head(2, len(value)) + value
        case str():
            return head(3, len(value.encode())) + value.encode()
        case list():
            return head(4, len(value)) + b"".join(map(cbor, value))
        case _:
            pairs = b"".join(cbor(key) + cbor(item) for key, item in value.items())
            indefinite = isinstance(value, Indefinite)
            return b"\xbf" + pairs + b"\xff" if indefinite else head(5, len(value)) + pairs


@dataclass(frozen=True)
class Issued:
    """One certificate and its key."""

    common_name: str
    key: ec.EllipticCurvePrivateKey
    der: bytes


def name(common_name: str) -> x509.Name:
    """Return AWS' name for one of its keys."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Amazon"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "AWS"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def usage(**on: bool) -> x509.KeyUsage:
    """Return a key usage with only these bits."""
    bits: tuple[str, ...] = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
    )
    bits += ("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**(dict.fromkeys(bits, False) | on))


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a certificate looks like; the defaults are those of an authority of AWS'."""

    ca: bool = True
    path_length: int | None = None
    constraints: bool = True
    constraints_critical: bool = True
    key_usage: x509.KeyUsage | None = field(
        default_factory=lambda: usage(digital_signature=True, key_cert_sign=True)
    )
    usage_critical: bool = True
    hash: hashes.SHA256 | hashes.SHA384 = field(default_factory=hashes.SHA384)
    not_before: int = NOW - HOUR  # Unix seconds
    not_after: int = NOW + 24 * HOUR
    curve: ec.EllipticCurve = field(default_factory=ec.SECP384R1)
    public_key: Any = None  # another than the issued key's own
    issuer_name: str | None = None  # another than the issuer's own
    issuer_key: ec.EllipticCurvePrivateKey | None = None  # likewise
    unknown_critical: bool = False
    common_name: str | None = None


def issue(common_name: str, issuer: Issued | None, shape: Shape) -> Issued:
    """Make a key and certify it; without an issuer, by itself."""
    key = ec.generate_private_key(shape.curve)
    common_name = shape.common_name or common_name
    above = common_name if issuer is None else issuer.common_name
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(common_name))
        .issuer_name(name(shape.issuer_name or above))
        .public_key(shape.public_key or key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.fromtimestamp(shape.not_before, UTC))
        .not_valid_after(datetime.fromtimestamp(shape.not_after, UTC))
    )
    if shape.constraints:
        constraints = x509.BasicConstraints(ca=shape.ca, path_length=shape.path_length if shape.ca else None)
        builder = builder.add_extension(constraints, critical=shape.constraints_critical)
    if shape.key_usage is not None:
        builder = builder.add_extension(shape.key_usage, critical=shape.usage_critical)
    if shape.unknown_critical:
        extension = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\0")
        builder = builder.add_extension(extension, critical=True)
    made = builder.sign(shape.issuer_key or (key if issuer is None else issuer.key), shape.hash)
    return Issued(common_name, key, made.public_bytes(serialization.Encoding.DER))


def crl(
    issuer: Issued,
    *serials: int,
    this_update: int = NOW - HOUR,
    next_update: int = NOW + HOUR,
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None = None,
    partial: bool = False,
) -> bytes:
    """Return an authority's revocation list."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(name(issuer.common_name))
        .last_update(datetime.fromtimestamp(this_update, UTC))
        .next_update(datetime.fromtimestamp(next_update, UTC))
    )
    if partial:
        builder = builder.add_extension(x509.DeltaCRLIndicator(1), critical=True)
    for serial in serials:
        entry = x509.RevokedCertificateBuilder().serial_number(serial)
        builder = builder.add_revoked_certificate(
            entry.revocation_date(datetime.fromtimestamp(this_update, UTC)).build()
        )
    return builder.sign(key or issuer.key, hashes.SHA384()).public_bytes(serialization.Encoding.DER)


@dataclass(frozen=True)
class FakeNitro:
    """A Nitro attestation PKI with its four authorities, root first."""

    authorities: tuple[Issued, ...]

    @classmethod
    def create(cls, **shapes: Mapping[str, Any]) -> FakeNitro:
        """Make the authorities; `shapes` changes the shape of some, by role."""
        names = (
            "aws.nitro-enclaves",
            f"cc54.{REGION}.aws.nitro-enclaves",
            f"c4f9.zonal.{REGION}.aws.nitro-enclaves",
        )
        made: list[Issued] = []
        for below, (role, common_name) in enumerate(
            zip(AUTHORITIES, (*names, f"i-01cfb383223e42522.{REGION}.aws.nitro-enclaves"), strict=True)
        ):
            usual: dict[str, Any] = {"path_length": None if below == 0 else 3 - below}
            shape = Shape(**(usual | dict(shapes.get(role, {}))))
            made.append(issue(common_name, made[-1] if made else None, shape))
        return cls(tuple(made))

    def roots(self) -> tuple[NitroRoot, ...]:
        """Return the pin of this root, of kind `test`."""
        return (NitroRoot(kind="test", sha256=sha256(self.authorities[0].der).digest()),)

    def leaf(self, kind: Kind = "nitrotpm", **shape: Any) -> Issued:
        """Certify a key for a module, as the hypervisor has it done every three hours."""
        usual: dict[str, Any] = {
            "ca": False,
            "key_usage": usage(digital_signature=True, content_commitment=True),
            "usage_critical": False,
            "not_before": NOW - HOUR,
            "not_after": NOW + 2 * HOUR,
        }
        return issue(f"{MODULE_IDS[kind]}.{REGION}.aws", self.authorities[-1], Shape(**(usual | shape)))

    def fields(self, kind: Kind = "nitrotpm", leaf: Issued | None = None, **changes: Any) -> Indefinite:
        """Return the fields of a document; `changes` sets or, with `...`, removes some."""
        count = 24 if kind == "nitrotpm" else 16
        usual = {
            "module_id": MODULE_IDS[kind],
            "digest": "SHA384",
            "timestamp": NOW * 1000 - 500,
            REGISTERS[kind]: pcrs(count),
            "certificate": (leaf or self.leaf(kind)).der,
            "cabundle": [issued.der for issued in self.authorities],
            "public_key": None,
            "user_data": b"u" * 64,
            "nonce": None,
        }
        return Indefinite({key: value for key, value in (usual | changes).items() if value is not ...})

    def document(self, kind: Kind = "nitrotpm", leaf: Issued | None = None, **changes: Any) -> bytes:
        """Return a signed document."""
        leaf = leaf or self.leaf(kind)
        return sign(cbor(self.fields(kind, leaf, **changes)), leaf.key)


def sign(payload: bytes, key: ec.EllipticCurvePrivateKey, protected: bytes = b"\xa1\x01\x38\x22") -> bytes:
    """Return the untagged COSE_Sign1 of a payload."""
    message = cbor(["Signature1", protected, b"", payload])
    size = (key.key_size + 7) // 8
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA384())))
    return cbor([protected, {}, payload, r.to_bytes(size, "big") + s.to_bytes(size, "big")])


def pcrs(count: int) -> dict[int, bytes]:
    """Return registers that were measured, each with its own value; 11 to 15 are zero, as on real ones."""
    return {index: bytes(48) if 11 <= index <= 15 else bytes([index + 1]) * 48 for index in range(count)}
