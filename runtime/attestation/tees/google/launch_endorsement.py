"""Google's word for its firmware: which launch measurements a build may have, signed. Pure.

google/gce-tcb-verifier, proto/endorsement.proto:

    VMLaunchEndorsement   1 serialized_uefi_golden, 2 signature (RSASSA-PSS, SHA-256, salt of 32 bytes)
    VMGoldenMeasurement   1 timestamp, 4 cert (DER), 6 ca_bundle (PEM), 7 sev_snp, 8 tdx
    VMSevSnp              1 svn, 2 measurements: virtual processors -> MEASUREMENT
    VMTdx                 1 svn, 2 measurements: 1 ram_gib, 3 mrtd

The certificate of the signing key is inside of what it signs; what makes it Google's is the pinned root at
the head of the bundle. It vouches for firmware, never for a machine. Google publishes no revocation list for
these certificates.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from runtime.attestation import certificates
from runtime.attestation.authority import HEEDED, is_authority
from runtime.attestation.certificates import Certificate
from runtime.attestation.findings import Findings, Reason
from runtime.attestation.tees.google import protobuf
from runtime.documents import times
from runtime.errors import MalformedError

MAX_SIZE = 32 * 1024  # bytes; Google's are under 10 KiB
MEASUREMENT_BYTES = 48
_MAX_BUNDLE = 4  # certificates
_MIN_RSA_BITS = 2048
_PEM_BLOCK = re.compile(
    rb"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\r\n]{1,8192}-----END CERTIFICATE-----[\r\n]*"
)
_PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
_WHAT = "launch endorsement"
_SOURCE = "Google's launch endorsement"


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleRoot:
    """Google's root for endorsements of firmware by the SHA-256 of its DER; under `test` it is grade T."""

    kind: Literal["hardware", "test"]
    sha256: bytes  # 32


# GCE-cc-tcb-root_1, as Google publishes it; equal in several independent public copies.
GOOGLE_TCB_ROOT = GoogleRoot(
    kind="hardware",
    sha256=bytes.fromhex("e876bc6978bf4f3da445f98a0a82363c8c0bae5a1fc033c6df65846a6cb0f18c"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchClaims:
    """What Google endorses. Made by `verify` alone."""

    svn: int  # security version of this build on this technology
    measurements: frozenset[bytes]  # MEASUREMENT or MRTD, 48 bytes each
    root: GoogleRoot
    endorsed_until: int  # Unix seconds
    newest_endorsement: int  # Unix seconds


@dataclass(frozen=True, slots=True)
class _Read:
    golden: bytes
    signature: bytes
    certificate: bytes
    bundle: tuple[bytes, ...]  # PEM blocks, root first
    svn: int
    measurements: frozenset[bytes]
    timestamp: int


def verify(
    data: bytes, technology: Literal["snp", "tdx"], roots: tuple[GoogleRoot, ...], now: int
) -> LaunchClaims:
    """Return what Google endorses for a technology. Raises: EvidenceRefusedError, MalformedError."""
    findings = Findings()
    # 1. It is an endorsement, with a certificate and its bundle.
    read = _parse(data, technology)
    path = [_load(block) for block in (*read.bundle, read.certificate)]  # root first, signer last
    # 2. The path holds, now, under Google's root.
    digest = sha256(path[0][0].der).digest()
    root = next((known for known in roots if known.sha256 == digest), None)
    findings.require(
        root is not None,
        "launch.root",
        Reason.CHAIN,
        expected=", ".join(f"{known.sha256.hex()[:16]}…" for known in roots) or "no root at all",
        actual=digest.hex()[:16] + "…",
        source="SHA-256 of the first certificate of the bundle",
        remedy="fetch the endorsement from Google's bucket again",
    )
    last = len(path) - 1
    for depth, (certificate, parsed) in enumerate(path):
        _, issuer = path[max(depth - 1, 0)]
        below, leaf = last - 1 - depth, depth == last
        _check_one(findings, certificate, parsed, issuer, depth, below=below, leaf=leaf, now=now)
    # 3. The signer signed it.
    findings.require(
        _signed(path[-1][0], read),
        "launch.signature",
        Reason.SIGNATURE,
        expected="an RSASSA-PSS signature by the certificate in the endorsement",
        actual="one that does not verify",
        source=_SOURCE,
        remedy="the endorsement was altered: fetch it again",
    )
    return LaunchClaims(
        svn=read.svn,
        measurements=read.measurements,
        root=findings.held(root),
        endorsed_until=min(certificate.not_after + 1 for certificate, _ in path),
        newest_endorsement=max(read.timestamp, *(certificate.not_before for certificate, _ in path)),
    )


def ends_at(data: bytes, technology: Literal["snp", "tdx"]) -> int:
    """Return when the first of its certificates ends, inclusive (Unix seconds). Raises: MalformedError."""
    read = _parse(data, technology)
    return min(_load(block)[0].not_after for block in (*read.bundle, read.certificate))


def _parse(data: bytes, technology: Literal["snp", "tdx"]) -> _Read:
    if len(data) > MAX_SIZE:
        raise MalformedError(_WHAT, f"is {len(data)} bytes, want at most {MAX_SIZE}")
    outer = protobuf.parse(data, _WHAT)
    golden, signature = (protobuf.one_bytes(outer, number, _WHAT) for number in (1, 2))
    if golden is None or signature is None:
        raise MalformedError(_WHAT, "has no golden measurement or no signature")
    fields = protobuf.parse(golden, _WHAT)
    certificate, bundle = (protobuf.one_bytes(fields, number, _WHAT) for number in (4, 6))
    if certificate is None or bundle is None:
        raise MalformedError(_WHAT, "has no certificate or no bundle")
    blocks = tuple(_PEM_BLOCK.findall(bundle))
    if not 1 <= len(blocks) <= _MAX_BUNDLE or b"".join(blocks) != bundle:
        raise MalformedError(_WHAT, f"ca_bundle is not 1 to {_MAX_BUNDLE} certificates in PEM")
    part = protobuf.one_bytes(fields, 7 if technology == "snp" else 8, _WHAT)
    if part is None:
        raise MalformedError(_WHAT, f"says nothing of {technology}")
    svn, measurements = _technology(part, technology)
    moment = protobuf.one_bytes(fields, 1, _WHAT)
    timestamp = 0 if moment is None else protobuf.one_number(protobuf.parse(moment, _WHAT), 1, _WHAT)
    if timestamp > times.LATEST:
        raise MalformedError(_WHAT, f"timestamp is {timestamp}, want at most {times.LATEST}")
    return _Read(golden, signature, certificate, blocks, svn, measurements, timestamp)


def _technology(data: bytes, technology: Literal["snp", "tdx"]) -> tuple[int, frozenset[bytes]]:
    fields = protobuf.parse(data, _WHAT)
    number = 2 if technology == "snp" else 3  # of the digest within one entry
    found: list[bytes] = []
    for entry in protobuf.all_bytes(fields, 2, _WHAT):
        value = protobuf.one_bytes(protobuf.parse(entry, _WHAT), number, _WHAT)
        if value is None or len(value) != MEASUREMENT_BYTES:
            raise MalformedError(_WHAT, f"has a measurement that is not {MEASUREMENT_BYTES} bytes")
        found.append(value)
    return protobuf.one_number(fields, 1, _WHAT), frozenset(found)


def _load(data: bytes) -> tuple[Certificate, x509.Certificate]:
    certificate = certificates.load(data, f"{_WHAT} certificate")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `load` made errors of them
        return certificate, x509.load_der_x509_certificate(certificate.der)


def _check_one(
    findings: Findings,
    certificate: Certificate,
    parsed: x509.Certificate,
    issuer: x509.Certificate,
    depth: int,
    *,
    below: int,  # authorities between this one and the signer
    leaf: bool,
    now: int,
) -> None:
    source = f"certificate {depth} of the endorsement"
    findings.require(
        _issued(parsed, issuer),
        f"launch.issuer.{depth}",
        Reason.CHAIN,
        expected="a signature by the certificate above it",
        actual="another issuer or signature",
        source=source,
        remedy="fetch the endorsement from Google's bucket again",
    )
    findings.require(
        _is_signer(certificate) if leaf else is_authority(certificate, below=below),
        f"launch.authority.{depth}",
        Reason.CHAIN,
        expected=("the flags of a signer" if leaf else "the flags and path length of an authority")
        + ", and no critical extension besides",
        actual="others",
        source=source,
        remedy="a certificate of this shape was not made for this place in the path",
    )
    findings.require(
        certificate.not_before <= now <= certificate.not_after,
        f"launch.dates.{depth}",
        Reason.EXPIRED,
        expected=f"a time from {times.show(certificate.not_before)} to {times.show(certificate.not_after)}",
        actual=times.show(now),
        source=source,
        remedy="fetch a current endorsement, and look at this machine's clock",
    )


def _is_signer(certificate: Certificate) -> bool:
    constraints, usage = certificate.basic_constraints, certificate.key_usage
    return (
        (constraints is None or not constraints.ca)
        and usage is not None
        and usage.digital_signature
        and not usage.key_cert_sign
        and certificate.critical <= HEEDED
    )


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Tell whether the issuer's name is in the certificate, and its signature on it."""
    key = issuer.public_key()
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < _MIN_RSA_BITS:
        return False
    try:
        algorithm = certificate.signature_hash_algorithm
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return isinstance(algorithm, hashes.SHA256 | hashes.SHA384 | hashes.SHA512)


def _signed(signer: Certificate, read: _Read) -> bool:
    key = signer.public_key
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < _MIN_RSA_BITS:
        return False
    try:
        key.verify(read.signature, read.golden, _PSS, hashes.SHA256())
    except InvalidSignature:
        return False
    return True
