"""A throw-away Google that endorses firmware: VMLaunchEndorsement in the real format, really signed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from runtime.attestation.tees.google.launch_endorsement import GoogleRoot
from tests.fakes import tpm, tpm_certificates
from tests.fakes.tpm_certificates import Spec

PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
SIGNED_AT = int(datetime(2025, 6, 1, tzinfo=UTC).timestamp())
_ROOT, _SIGNER = tpm_certificates.name("GCE-cc-tcb-root"), tpm_certificates.name("GCE-uefi-signer")


def varint(value: int) -> bytes:
    """Return a base-128 number."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def number(field: int, value: int) -> bytes:
    """Return a field that holds a number."""
    return varint(field << 3) + varint(value)


def data(field: int, value: bytes) -> bytes:
    """Return a field that holds bytes or a message."""
    return varint(field << 3 | 2) + varint(len(value)) + value


def root_key() -> rsa.RSAPrivateKey:
    """Return the key of the throw-away root."""
    return tpm.rsa_key("google tcb root")


def root(**changes: Any) -> bytes:
    """Return the root's certificate in DER."""
    fields: dict[str, Any] = {
        "subject": _ROOT,
        "key": root_key().public_key(),
        "issuer": _ROOT,
        "issuer_key": root_key(),
        "ca": True,
    }
    return Spec(**(fields | changes)).der()


def signer(**changes: Any) -> bytes:
    """Return the signer's certificate in DER."""
    fields: dict[str, Any] = {
        "subject": _SIGNER,
        "key": tpm.rsa_key("google tcb signer").public_key(),
        "issuer": _ROOT,
        "issuer_key": root_key(),
        "ca": False,
    }
    return Spec(**(fields | changes)).der()


def pem(*certificates: bytes) -> bytes:
    """Return PEM blocks."""
    return b"".join(
        x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM) for der in certificates
    )


def pin() -> GoogleRoot:
    """Return the pin of the throw-away root."""
    return GoogleRoot(kind="test", sha256=sha256(root()).digest())


def golden(snp: Iterable[bytes] = (), tdx: Iterable[bytes] = (), svn: int = 2, **changes: Any) -> bytes:
    """Return a VMGoldenMeasurement; a part that is changed to None is left out."""
    parts: Mapping[int, bytes | None] = {
        1: number(1, SIGNED_AT),
        2: None,
        4: signer(),
        5: b"\x55" * 48,
        6: pem(root()),
        7: number(1, svn) + b"".join(data(2, number(1, n) + data(2, value)) for n, value in enumerate(snp)),
        8: number(1, svn) + b"".join(data(2, number(1, 16) + number(2, 1) + data(3, value)) for value in tdx),
    } | {int(name.removeprefix("field")): value for name, value in changes.items()}
    return b"".join(data(field, value) for field, value in sorted(parts.items()) if value is not None)


def endorsement(body: bytes, key: rsa.RSAPrivateKey | None = None, *, pss: Any = PSS) -> bytes:
    """Return a VMLaunchEndorsement over a golden measurement."""
    signature = (key or tpm.rsa_key("google tcb signer")).sign(body, pss, hashes.SHA256())
    return data(1, body) + data(2, signature)
