"""Intel's certificates: exactly leaf, PCK CA and the pinned root; what the leaf certifies. Pure.

Intel SGX PCK Certificate and CRL Profile Specification 1.5. No path is searched for and no extension is
skipped because it is unknown: the shapes are written down, anything else is refused. The extension
1.2.840.113741.1.13.1 is read by a DER reader of our own, in its one spelling.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtensionOID, NameOID

from runtime.attestation import certificates
from runtime.attestation.certificates import Certificate, RevocationList
from runtime.attestation.findings import Findings, Reason
from runtime.documents import times
from runtime.errors import MalformedError

LEAF_NAME = "Intel SGX PCK Certificate"
TCB_SIGNER_NAME = "Intel SGX TCB Signing"
CA_NAMES = frozenset({"Intel SGX PCK Platform CA", "Intel SGX PCK Processor CA"})
_INTEL_NAME = {
    NameOID.COUNTRY_NAME.dotted_string: "US",
    NameOID.LOCALITY_NAME.dotted_string: "Santa Clara",
    NameOID.STATE_OR_PROVINCE_NAME.dotted_string: "CA",
    NameOID.ORGANIZATION_NAME.dotted_string: "Intel Corporation",
}
_COMMON_NAME = NameOID.COMMON_NAME.dotted_string
_CRITICAL = {ExtensionOID.KEY_USAGE.dotted_string, ExtensionOID.BASIC_CONSTRAINTS.dotted_string}
_PEM_BLOCK = re.compile(
    rb"(-----BEGIN CERTIFICATE-----[^-]{1,8192}-----END CERTIFICATE-----)[\r\n]*"  # `load` reads the inside
)

_ECDSA = ec.ECDSA(hashes.SHA256())
_ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")  # AlgorithmIdentifier, RFC 5758, section 3.2

MAX_CHAIN_SIZE = 16 * 1024  # bytes of PEM; Intel's are under 4 KiB


@dataclass(frozen=True, slots=True, kw_only=True)
class IntelRoot:
    """Intel's root certificate by the SHA-256 of its DER; whatever chains to a `test` root is grade T."""

    kind: Literal["hardware", "test"]
    sha256: bytes  # 32


# Intel SGX Provisioning Certification Root CA, equal in several independent public copies.
INTEL_ROOT = IntelRoot(
    kind="hardware",
    sha256=bytes.fromhex("44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PckChain:
    """The three certificates of a quote; `check_chain` finds out whether they hold."""

    leaf: Certificate
    ca: Certificate
    root: Certificate


def load_chain(data: bytes, count: int, what: str, loaded: dict[bytes, Certificate]) -> list[Certificate]:
    """Read exactly `count` PEM blocks, leaf first; one NUL may end the text. Raises: MalformedError.

    `loaded` is the memory of one appraisal: the same root and CA come in up to four chains.
    """
    if len(data) > MAX_CHAIN_SIZE:
        raise MalformedError(what, f"is {len(data)} bytes, want at most {MAX_CHAIN_SIZE}")
    text, found, offset = data.removesuffix(b"\0"), list[Certificate](), 0
    while offset < len(text):
        block = _PEM_BLOCK.match(text, offset)
        if block is None or len(found) == count:
            raise MalformedError(what, f"has something else than {count} certificates", offset=offset)
        pem = block.group(1)
        if pem not in loaded:
            loaded[pem] = certificates.load(pem, what)
        found.append(loaded[pem])
        offset = block.end()
    if len(found) != count:
        raise MalformedError(what, f"holds {len(found)} certificates, want {count}", offset=len(text))
    return found


def check_chain(
    findings: Findings, chain: PckChain, roots: tuple[IntelRoot, ...], now: int
) -> IntelRoot | None:
    """Note every check of the quote's chain: the pin, names, authority, signatures, dates. Return the root.

    The pin is over every byte of the root, so of the root only the dates are left to look at.
    """
    pin = check_pin(findings, "chain.root", chain.root, roots)
    check_dates(findings, "chain.dates.root", chain.root, now)
    _check_ca(findings, chain.ca, chain.root)
    check_dates(findings, "chain.dates.intermediate", chain.ca, now)
    check_end_entity(findings, "chain", "leaf", chain.leaf, chain.ca, LEAF_NAME)
    check_dates(findings, "chain.dates.leaf", chain.leaf, now)
    return pin


def pinned(root: Certificate, roots: tuple[IntelRoot, ...]) -> IntelRoot | None:
    """Return the root among `roots` that this certificate is."""
    digest = sha256(root.der).digest()
    return next((known for known in roots if known.sha256 == digest), None)


def check_pin(
    findings: Findings, check: str, root: Certificate, roots: tuple[IntelRoot, ...]
) -> IntelRoot | None:
    """Note whether the root certificate is one of `roots`; return it."""
    pin = pinned(root, roots)
    findings.require(
        pin is not None,
        check,
        Reason.CHAIN,
        expected=lambda: ", ".join(known.sha256.hex()[:16] + "…" for known in roots) or "no root at all",
        actual=lambda: sha256(root.der).hexdigest()[:16] + "…",
        source="SHA-256 of the root certificate",
        remedy="hardware chains to Intel's own root; a simulated TEE is accepted by tests only",
    )
    return pin


def _check_ca(findings: Findings, certificate: Certificate, root: Certificate) -> None:
    usage, constraints = certificate.key_usage, certificate.basic_constraints
    shape = (
        usage is not None
        and usage.key_cert_sign
        and usage.crl_sign
        and constraints is not None
        and constraints.ca
        and constraints.path_length == 0
    )
    _check(findings, "chain", "intermediate", certificate, root, CA_NAMES, shape=shape)


def check_end_entity(
    findings: Findings, stage: str, role: str, certificate: Certificate, parent: Certificate, name: str
) -> bool:
    """Note name, signature and shape of a certificate that signs data: a PCK, or the signer of TCB data."""
    usage, constraints = certificate.key_usage, certificate.basic_constraints
    shape = (
        usage is not None
        and usage.digital_signature
        and not usage.key_cert_sign
        and (constraints is None or not constraints.ca)
    )
    return _check(findings, stage, role, certificate, parent, frozenset({name}), shape=shape)


def _check(
    findings: Findings,
    stage: str,
    role: str,
    certificate: Certificate,
    parent: Certificate,
    names: frozenset[str],
    *,
    shape: bool,
) -> bool:
    key, source = certificate.public_key, f"the {role} certificate"
    name, issued = common_name(certificate), certificate.issuer == parent.subject
    named = findings.require(
        name in names
        and certificate.attributes == tuple(sorted((_INTEL_NAME | {_COMMON_NAME: name}).items()))
        and issued,
        f"{stage}.names.{role}",
        Reason.CHAIN,
        expected=lambda: f"Intel's CN={' or '.join(sorted(names))} issued by CN={common_name(parent)}",
        actual=lambda: f"CN={name}" + ("" if issued else " issued by another name"),
        source=source,
        remedy="send the certificates that Intel's provisioning service gives for this machine",
    )
    shaped = findings.require(
        shape
        and isinstance(key, ec.EllipticCurvePublicKey)
        and isinstance(key.curve, ec.SECP256R1)
        and certificate.critical <= _CRITICAL,
        f"{stage}.authority.{role}",
        Reason.CHAIN,
        expected="the key, the CA flags and the extensions that Intel gives this certificate",
        actual="others",
        source=source,
        remedy="a certificate of this shape was not made by Intel: find out who made it",
    )
    signed = findings.require(
        is_signed_by(certificate, parent),
        f"{stage}.signature.{role}",
        Reason.CHAIN,
        expected=lambda: f"an ECDSA SHA-256 signature by {common_name(parent)!r}",
        actual="one that does not verify",
        source=source,
        remedy="fetch the certificate chain again",
    )
    return named and shaped and signed


def check_dates(findings: Findings, check: str, certificate: Certificate, now: int) -> None:
    """Note whether the certificate is valid at `now`."""
    findings.require(
        certificate.not_before <= now <= certificate.not_after,
        check,
        Reason.EXPIRED,
        expected=certificates.validity(certificate),
        actual=lambda: times.show(now),
        source=lambda: f"the certificate of {common_name(certificate)!r}",
        remedy="fetch a current certificate, and look at this machine's clock",
    )


def common_name(certificate: Certificate) -> str:
    """Return the CN, or a word that no CN of Intel's is."""
    return next((text for oid, text in certificate.attributes if oid == _COMMON_NAME), "(none)")


def is_signed_by(signed: Certificate | RevocationList, parent: Certificate) -> bool:
    """Tell whether a certificate or list says, in DER, that the parent's P-256 key signed it with SHA-256,
    and whether it did.
    """
    key = parent.public_key
    if signed.algorithm != _ECDSA_SHA256:
        return False
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        return False
    try:
        key.verify(signed.signature, signed.tbs, _ECDSA)
    except InvalidSignature:
        return False
    return True
