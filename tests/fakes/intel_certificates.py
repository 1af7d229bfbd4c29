"""Certificates and revocation lists of the shape that Intel issues, signed for real. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID, ObjectIdentifier

NOT_BEFORE = datetime(2025, 1, 1, tzinfo=UTC)
ISSUED, NEXT_UPDATE = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"
FMSPC = bytes.fromhex("90c06f000000")
PPID = bytes(range(16))
COMPONENTS = (4, 4, 2, 2, 4, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0)
PLATFORM_CA, PROCESSOR_CA = "Intel SGX PCK Platform CA", "Intel SGX PCK Processor CA"
SGX_ARC = bytes.fromhex("2a864886f84d010d01")


def name(common_name: str) -> x509.Name:
    """Return Intel's name for one of its keys."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Intel Corporation"),
            x509.NameAttribute(NameOID.LOCALITY_NAME, "Santa Clara"),
            x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, "CA"),
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
        ]
    )


def usage(*, authority: bool) -> x509.KeyUsage:
    """Return the key usage of a CA, or of a certificate that signs data."""
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=not authority,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def certificate(
    subject: str,
    key: Any,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    serial: int,
    *,
    ca: bool,
    path_length: int | None = None,
    sgx: bytes | None = None,
    not_before: datetime = NOT_BEFORE,
    days: int = 7 * 365,
    key_usage: x509.KeyUsage | None = None,
    critical_sgx: bool = False,
    algorithm: Any = None,
) -> x509.Certificate:
    """Return a certificate of the shape that Intel issues."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(not_before)
        .not_valid_after(not_before + timedelta(days=days))
        .add_extension(key_usage or usage(authority=ca), critical=True)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
    )
    if sgx is not None:
        extension = x509.UnrecognizedExtension(ObjectIdentifier("1.2.840.113741.1.13.1"), sgx)
        builder = builder.add_extension(extension, critical=critical_sgx)
    return builder.sign(issuer_key, algorithm or hashes.SHA256())


def crl(
    issuer: str,
    key: ec.EllipticCurvePrivateKey,
    revoked: Iterable[int] = (),
    *,
    this_update: str = ISSUED,
    next_update: str = NEXT_UPDATE,
    delta: bool = False,
) -> bytes:
    """Return a revocation list in DER."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(name(issuer))
        .last_update(datetime.fromisoformat(this_update))
        .next_update(datetime.fromisoformat(next_update))
        .add_extension(x509.CRLNumber(1), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    for serial in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOT_BEFORE).build()
        builder = builder.add_revoked_certificate(entry)
    if delta:
        builder = builder.add_extension(x509.DeltaCRLIndicator(1), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def tlv(tag: int, content: bytes) -> bytes:
    """Return one DER element."""
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    if size < 0x100:
        return bytes([tag, 0x81, size]) + content
    return bytes([tag, 0x82]) + size.to_bytes(2, "big") + content


def integer(value: int) -> bytes:
    """Return the DER of a small INTEGER."""
    return tlv(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def pair(path: bytes, value: bytes) -> bytes:
    """Return SEQUENCE {OID below Intel's arc, value}."""
    return tlv(0x30, tlv(6, SGX_ARC + path) + value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """What Intel certifies about one machine."""

    ppid: bytes = PPID
    components: tuple[int, ...] = COMPONENTS
    pce_svn: int = 13
    pce_id: bytes = b"\0\0"
    fmspc: bytes = FMSPC
    sgx_type: int = 1
    instance: bytes | None = bytes(range(16, 32))
    flags: tuple[bool, ...] | None = (False, False, False)

    def extension(self) -> bytes:
        """Return the value of the SGX extension."""
        tcb = b"".join(pair(bytes([2, n]), integer(svn)) for n, svn in enumerate(self.components, start=1))
        tcb += pair(b"\2\x11", integer(self.pce_svn))
        tcb += pair(b"\2\x12", tlv(4, bytes(self.components)))
        out = pair(b"\1", tlv(4, self.ppid)) + pair(b"\2", tlv(0x30, tcb))
        out += pair(b"\3", tlv(4, self.pce_id)) + pair(b"\4", tlv(4, self.fmspc))
        out += pair(b"\5", tlv(0x0A, bytes([self.sgx_type])))
        if self.instance is not None:
            out += pair(b"\6", tlv(4, self.instance))
        if self.flags is not None:
            flags = b"".join(
                pair(bytes([7, n]), tlv(1, b"\xff" if value else b"\0"))
                for n, value in enumerate(self.flags, start=1)
            )
            out += pair(b"\7", tlv(0x30, flags))
        return tlv(0x30, out)
