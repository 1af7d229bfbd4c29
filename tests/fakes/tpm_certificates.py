"""Throw-away certificate paths of the shapes that Microsoft and Google issue for attestation keys. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID, ObjectIdentifier

from runtime.attestation.tees.tpm.ak import AkRoot
from tests.fakes import tpm

NOT_BEFORE = datetime(2025, 1, 1, tzinfo=UTC)
NOW = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
AIK_USAGE = "2.23.133.8.3"
INSTANCE_OID = "1.3.6.1.4.1.11129.2.1.21"
INSTANCE_ID, PROJECT, ZONE = 3414240648225485836, "lockbox", "us-central1-f"
_CN, _O, _OU, _L = (
    NameOID.COMMON_NAME,
    NameOID.ORGANIZATION_NAME,
    NameOID.ORGANIZATIONAL_UNIT_NAME,
    NameOID.LOCALITY_NAME,
)
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


def element(tag: int, value: bytes) -> bytes:
    """Return one DER element."""
    size = len(value)
    head = (
        bytes([size])
        if size < 0x80
        else bytes([0x81, size])
        if size < 0x100
        else b"\x82" + size.to_bytes(2, "big")
    )
    return bytes([tag]) + head + value


def integer(value: int) -> bytes:
    """Return a DER INTEGER that is not negative."""
    return element(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def instance_extension(
    *,
    zone: str = ZONE,
    project: str = PROJECT,
    instance: int = INSTANCE_ID,
    name: str = "instance-1",
    flags: tuple[bool, ...] = (True, True, False, False, False),
) -> bytes:
    """Return Google's instance extension; the first flag is isProduction."""
    booleans = b"".join(
        element(0xA1 + number, element(1, b"\xff" if flag else b"\0")) for number, flag in enumerate(flags)
    )
    security = element(0xA0, element(0x30, element(0xA0, integer(0)) + booleans))
    return element(
        0x30,
        element(0x0C, zone.encode())
        + integer(8902345)
        + element(0x0C, project.encode())
        + integer(instance)
        + element(0x0C, name.encode())
        + security,
    )


def name(common_name: str, organization: str | None = None, **more: str) -> x509.Name:
    """Return a name; `more` are OU and L."""
    attributes = [x509.NameAttribute(_CN, common_name)]
    if organization is not None:
        attributes.append(x509.NameAttribute(_O, organization))
    for key, oid in (("unit", _OU), ("locality", _L)):
        if key in more:
            attributes.append(x509.NameAttribute(oid, more[key]))
    return x509.Name(attributes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One certificate to make: every field that a check looks at."""

    subject: x509.Name
    key: PublicKey
    issuer: x509.Name
    issuer_key: rsa.RSAPrivateKey
    ca: bool
    path_length: int | None = None
    cert_sign: bool | None = None
    digital_signature: bool = True
    usages: tuple[str, ...] = ()
    extensions: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    critical: frozenset[str] = frozenset()
    hash: hashes.SHA224 | hashes.SHA256 | hashes.SHA384 | hashes.SHA512 = field(default_factory=hashes.SHA256)
    pss: bool = False
    days: int = 3650
    basic_constraints: bool = True
    key_usage: bool = True

    def der(self) -> bytes:
        """Return the certificate."""
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.subject)
            .issuer_name(self.issuer)
            .public_key(self.key)
            .serial_number(int.from_bytes(sha256(repr(self.subject).encode()).digest()[:8], "big") >> 1 | 1)
            .not_valid_before(NOT_BEFORE)
            .not_valid_after(NOT_BEFORE + timedelta(days=self.days))
        )
        if self.basic_constraints:
            constraints = x509.BasicConstraints(ca=self.ca, path_length=self.path_length)
            builder = builder.add_extension(constraints, critical=True)
        if self.key_usage:
            builder = builder.add_extension(self._usage(), critical=True)
        if self.usages:
            usage = x509.ExtendedKeyUsage([ObjectIdentifier(oid) for oid in self.usages])
            builder = builder.add_extension(usage, critical=False)
        for oid, value in self.extensions.items():
            extension = x509.UnrecognizedExtension(ObjectIdentifier(oid), value)
            builder = builder.add_extension(extension, critical=oid in self.critical)
        if self.pss:
            scheme = padding.PSS(mgf=padding.MGF1(self.hash), salt_length=self.hash.digest_size)
            certificate = builder.sign(self.issuer_key, self.hash, rsa_padding=scheme)
        else:
            certificate = builder.sign(self.issuer_key, self.hash)
        return certificate.public_bytes(serialization.Encoding.DER)

    def _usage(self) -> x509.KeyUsage:
        sign = self.ca if self.cert_sign is None else self.cert_sign
        return x509.KeyUsage(
            digital_signature=self.digital_signature,
            content_commitment=not (self.digital_signature or sign),
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=sign,
            crl_sign=sign,
            encipher_only=False,
            decipher_only=False,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FakePath:
    """A path to make, leaf first; change one certificate with `but`."""

    vendor: Literal["microsoft", "google"]
    specs: tuple[Spec, ...]

    def but(self, depth: int, **changes: object) -> FakePath:
        """Return the path with fields of one certificate changed; nothing else is made to fit."""
        changed = replace(self.specs[depth], **changes)  # type: ignore[arg-type]  # field names checked when run
        return replace(self, specs=(*self.specs[:depth], changed, *self.specs[depth + 1 :]))

    def ders(self) -> tuple[bytes, ...]:
        """Return the certificates."""
        return tuple(spec.der() for spec in self.specs)

    def root(self) -> AkRoot:
        """Return the pin of the last one."""
        return AkRoot(kind="test", vendor=self.vendor, sha256=sha256(self.specs[-1].der()).digest())


_AZURE_ROOT = name("Azure Virtual TPM Root Certificate Authority 2023", "Microsoft Corporation")


def azure(key: PublicKey, *, deep: bool = True) -> FakePath:
    """Return a path of four certificates, or the one of three."""
    names = (
        ["Azure Cloud Virtual TPM CA - 11", "Azure Cloud Virtual TPM CA 2025"]
        if deep
        else ["Global Virtual TPM CA - 03"]
    )
    keys = [tpm.rsa_key(f"azure {text}") for text in names] + [tpm.rsa_key("azure root")]
    authorities = [name(text) for text in names] + [_AZURE_ROOT]
    leaf = Spec(
        subject=name("f7bb127cbe44.ConfidentialVM.Azure.windows.net"),
        key=key,
        issuer=authorities[0],
        issuer_key=keys[0],
        ca=False,
        usages=("1.3.6.1.4.1.311.10.3.12", AIK_USAGE),
        hash=hashes.SHA512(),
    )
    return FakePath(vendor="microsoft", specs=(leaf, *_authorities(authorities, keys)))


def google(key: PublicKey, extension: bytes | None = None) -> FakePath:
    """Return Google's path of three certificates."""
    keys = [tpm.rsa_key("google intermediate"), tpm.rsa_key("google root")]
    authorities = [
        name(text, "Google LLC", unit="Google Cloud", locality="Mountain View")
        for text in ("EK/AK CA Intermediate", "EK/AK CA Root")
    ]
    leaf = Spec(
        subject=name(str(INSTANCE_ID), "Google Compute Engine", unit=PROJECT, locality=ZONE),
        key=key,
        issuer=authorities[0],
        issuer_key=keys[0],
        ca=False,
        extensions={INSTANCE_OID: instance_extension() if extension is None else extension},
    )
    return FakePath(vendor="google", specs=(leaf, *_authorities(authorities, keys)))


def _authorities(names: list[x509.Name], keys: list[rsa.RSAPrivateKey]) -> list[Spec]:
    return [
        Spec(
            subject=subject,
            key=keys[index].public_key(),
            issuer=names[min(index + 1, len(names) - 1)],
            issuer_key=keys[min(index + 1, len(keys) - 1)],
            ca=True,
            path_length=index if index < len(names) - 1 else None,
        )
        for index, subject in enumerate(names)
    ]
