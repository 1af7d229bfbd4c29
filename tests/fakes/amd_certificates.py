"""Certificates and revocation lists of the shape that AMD issues, signed for real. Pure.

`cryptography` will not build a certificate with the serial number 0, which every VEK has: it is built with
1, patched and signed again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID, ObjectIdentifier

ARC = "1.3.6.1.4.1.3704.1."
SPLS = {"bootloader": "3.1", "tee": "3.2", "snp": "3.3", "microcode": "3.8", "fmc": "3.9"}
NOT_BEFORE = datetime(2025, 1, 1, tzinfo=UTC)
PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA384()), salt_length=48)
_SERIAL_ONE, _SERIAL_ZERO = bytes.fromhex("a003020102020101"), bytes.fromhex("a003020102020100")


def name(common_name: str) -> x509.Name:
    """Return AMD's name for one of its keys."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Engineering"),
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
            x509.NameAttribute(NameOID.LOCALITY_NAME, "Santa Clara"),
            x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, "CA"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Advanced Micro Devices"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def usage(*, crl_sign: bool) -> x509.KeyUsage:
    """Return the key usage of an ARK (which signs lists) or of an ASK."""
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def authority(
    subject: str,
    key: rsa.RSAPrivateKey,
    issuer: str,
    issuer_key: rsa.RSAPrivateKey,
    serial: int,
    *,
    path_length: int | None,
    crl_sign: bool,
    ca: bool = True,
    days: int = 25 * 365,
    not_before: datetime = NOT_BEFORE,
    salt: int = 48,
) -> bytes:
    """Return an ARK, ASK or ASVK certificate in DER."""
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA384()), salt_length=salt)
    return (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(not_before)
        .not_valid_after(not_before + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length if ca else None), critical=True)
        .add_extension(usage(crl_sign=crl_sign), critical=True)
        .sign(issuer_key, hashes.SHA384(), rsa_padding=pss)
        .public_bytes(serialization.Encoding.DER)
    )


def integer(value: int) -> bytes:
    """Return the DER of an INTEGER from 0 to 255."""
    return bytes([2, 1, value]) if value < 0x80 else bytes([2, 2, 0, value])


def ia5(text: str) -> bytes:
    """Return the DER of a short IA5String."""
    return bytes([0x16, len(text)]) + text.encode("ascii")


def vek_extensions(
    product_name: str, tcb: Mapping[str, int], *, hwid: bytes | None, csp_id: str | None
) -> dict[str, bytes]:
    """Return the extensions of a VCEK (with `hwid`) or VLEK (with `csp_id`), by the end of their OID."""
    out = {"1": integer(1 if "fmc" in tcb else 0), "2": ia5(product_name)}
    out |= {SPLS[part]: integer(value) for part, value in tcb.items()}
    out |= {
        reserved: integer(0)
        for reserved in (("3.5", "3.6", "3.7") if "fmc" in tcb else ("3.4", "3.5", "3.6", "3.7"))
    }
    if hwid is not None:
        out["4"] = hwid
    if csp_id is not None:
        out["5"] = ia5(csp_id)
    return out


def vek(
    subject: str,
    key: ec.EllipticCurvePublicKey,
    issuer: str,
    issuer_key: rsa.RSAPrivateKey,
    extensions: Mapping[str, bytes],
    *,
    days: int,
    not_before: datetime = NOT_BEFORE,
    critical: Iterable[str] = (),
    ca: bool = False,
) -> bytes:
    """Return a VCEK or VLEK certificate in DER, serial number 0."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key)
        .serial_number(1)
        .not_valid_before(not_before)
        .not_valid_after(not_before + timedelta(days=days))
    )
    for oid, value in extensions.items():
        extension = x509.UnrecognizedExtension(ObjectIdentifier(ARC + oid), value)
        builder = builder.add_extension(extension, critical=oid in set(critical))
    if ca:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=False)
    certificate = builder.sign(issuer_key, hashes.SHA384(), rsa_padding=PSS)
    return resign(certificate, issuer_key, _SERIAL_ONE, _SERIAL_ZERO)


def resign(certificate: x509.Certificate, issuer_key: rsa.RSAPrivateKey, old: bytes, new: bytes) -> bytes:
    """Return the certificate with `old` replaced once in what is signed, and signed again."""
    tbs = certificate.tbs_certificate_bytes
    if tbs.count(old) < 1 or len(old) != len(new):
        message = "the bytes to replace are not there, or change the length"
        raise ValueError(message)
    patched = tbs.replace(old, new, 1)
    der = certificate.public_bytes(serialization.Encoding.DER)
    signature = issuer_key.sign(patched, PSS, hashes.SHA384())
    return der.replace(tbs, patched).removesuffix(certificate.signature) + signature


def crl(
    issuer: str,
    issuer_key: rsa.RSAPrivateKey,
    revoked: Iterable[int] = (),
    *,
    this_update: datetime = NOT_BEFORE,
    next_update: datetime = NOT_BEFORE + timedelta(days=7 * 365),
) -> bytes:
    """Return a revocation list in DER."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(name(issuer))
        .last_update(this_update)
        .next_update(next_update)
    )
    for serial in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(this_update).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(issuer_key, hashes.SHA384(), rsa_padding=PSS).public_bytes(serialization.Encoding.DER)
