"""The certificates of a Nitro document: from a root pinned by its hash to the leaf that signed. Pure.

AWS sends them in order, root first (aws-nitro-enclaves-nsm-api, docs/attestation_process.md, section 3.2.3),
so no path is searched for: each has to be issued by the one before it. The shape is the one that AWS issues:
P-384 keys, ecdsa-with-SHA384, critical basic constraints and key usage on every authority. A critical
extension beyond these two is refused.

Not defended: the specification says that revocation lists are to be off, and the certificates below the
first intermediate live for hours or days; a list that is offered counts, none is required. `NitroClaims`
says for which certificates a list spoke.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Literal, TypeGuard

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from runtime.attestation import certificates
from runtime.attestation.authority import HEEDED, is_authority
from runtime.attestation.certificates import Certificate, RevocationList
from runtime.attestation.findings import Findings, Reason
from runtime.documents import times
from runtime.errors import MalformedError

_COMMON_NAME = "2.5.4.3"
_ECDSA = ec.ECDSA(hashes.SHA384())
_ECDSA_SHA384 = bytes.fromhex("300a06082a8648ce3d040303")  # AlgorithmIdentifier, RFC 5758, section 3.2
# Authorities are the same in every document of an instance, for hours. Their reading and their signatures are
# functions of their bytes alone, so the last few are remembered: each P-384 signature costs 0.6 ms.
_REMEMBERED = 64  # certificates; a region's, of some instances
_MAX_SHOWN = 64  # characters of a foreign name in a finding
_REMEDY = "ask the instance for a new document; a certificate of another shape was not issued by AWS"


@dataclass(frozen=True, slots=True, kw_only=True)
class NitroRoot:
    """A root certificate by the SHA-256 of its DER; whatever chains to a `test` root is grade T."""

    kind: Literal["hardware", "test"]
    sha256: bytes  # 32


# CN=aws.nitro-enclaves, 2019 to 2049: AWS' Root-G1 of the commercial partition, for both kinds of document.
HARDWARE_ROOTS: tuple[NitroRoot, ...] = (
    NitroRoot(
        kind="hardware",
        sha256=bytes.fromhex("641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b"),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """The certificates in order, root first; `check` finds out whether they hold."""

    authorities: tuple[Certificate, ...]  # at least the root
    leaf: Certificate

    @property
    def links(self) -> tuple[tuple[str, Certificate, Certificate], ...]:
        """Return role, certificate and issuer of all but the root."""
        path = (*self.authorities, self.leaf)
        roles = (*(f"intermediate{index}" for index in range(1, len(self.authorities))), "leaf")
        return tuple(zip(roles, path[1:], path, strict=False))


def load(cabundle: tuple[bytes, ...], certificate: bytes, *, at: tuple[int, int]) -> Chain:
    """Read the certificates of one document. `at` is where the two fields begin. Raises: MalformedError."""
    bundle_at, leaf_at = at
    return Chain(
        authorities=tuple(_load_at(der, f"cabundle[{i}]", bundle_at) for i, der in enumerate(cabundle)),
        leaf=_load_at(certificate, "certificate", leaf_at),
    )


def _load_at(der: bytes, field: str, at: int) -> Certificate:
    try:
        return _load(der)
    except MalformedError as error:
        raise MalformedError(f"Nitro document: {field}", error.detail, offset=at) from error


@lru_cache(maxsize=_REMEMBERED)
def _load(der: bytes) -> Certificate:
    found = certificates.load(der, "certificate")
    if found.der != der:
        raise MalformedError("certificate", "is not in DER")
    return found


def check(findings: Findings, chain: Chain, roots: tuple[NitroRoot, ...], now: int) -> NitroRoot | None:
    """Note every check of the path; return the pinned root, if it is one."""
    root = _pinned(findings, chain.authorities[0], roots)
    _check_dates(findings, "root", chain.authorities[0], now)
    for above, certificate in enumerate(chain.authorities):
        role = "root" if above == 0 else f"intermediate{above}"
        below = len(chain.authorities) - 1 - above  # authorities that follow: RFC 5280, section 4.2.1.9
        _check_authority(findings, role, _is_authority(certificate, below), certificate)
    _check_authority(findings, "leaf", _is_end_entity(chain.leaf), chain.leaf)
    for role, certificate, issuer in chain.links:
        _check_issued(findings, role, certificate, issuer)
        _check_dates(findings, role, certificate, now)
    return root


def _pinned(findings: Findings, root: Certificate, roots: tuple[NitroRoot, ...]) -> NitroRoot | None:
    digest = sha256(root.der).digest()
    found = next((known for known in roots if known.sha256 == digest), None)
    findings.require(
        found is not None,
        "chain.root",
        Reason.CHAIN,
        expected=lambda: ", ".join(f"{known.sha256.hex()[:16]}…" for known in roots) or "no root at all",
        actual=lambda: f"{digest.hex()[:16]}…",
        source="SHA-256 of the first certificate of cabundle",
        remedy="a document of AWS carries AWS' root first; a simulated one is accepted by tests only",
    )
    return found


def _check_authority(findings: Findings, role: str, ok: bool, certificate: Certificate) -> None:  # noqa: FBT001 - a finding
    findings.require(
        ok,
        f"chain.authority.{role}",
        Reason.CHAIN,
        expected="the key, the CA flags, the path length and the extensions that AWS gives this certificate",
        actual=lambda: f"others, on {_shown(certificate)}",
        source=f"the {role} certificate",
        remedy=_REMEDY,
    )


def _check_issued(findings: Findings, role: str, certificate: Certificate, issuer: Certificate) -> None:
    findings.require(
        certificate.issuer == issuer.subject,
        f"chain.names.{role}",
        Reason.CHAIN,
        expected=lambda: f"issued by {_shown(issuer)}",
        actual="issued by another name",
        source=f"the {role} certificate",
        remedy=_REMEDY,
    )
    findings.require(
        _signed_by(issuer.der, certificate.der),
        f"chain.signature.{role}",
        Reason.CHAIN,
        expected=lambda: f"an ECDSA P-384 SHA-384 signature by {_shown(issuer)}",
        actual="one that does not verify, or another algorithm",
        source=f"the {role} certificate",
        remedy=_REMEDY,
    )


def _check_dates(findings: Findings, role: str, certificate: Certificate, now: int) -> None:
    findings.require(
        certificate.not_before <= now <= certificate.not_after,
        f"chain.dates.{role}",
        Reason.EXPIRED,
        expected=certificates.validity(certificate),
        actual=lambda: times.show(now),
        source=f"the {role} certificate",
        remedy="ask the instance for a new document (its leaf lives three hours), and look at this clock",
    )


def _is_authority(certificate: Certificate, below: int) -> bool:
    whole = certificate.critical == HEEDED  # AWS marks both
    return whole and _is_p384(certificate.public_key) and is_authority(certificate, below=below)


def _is_end_entity(certificate: Certificate) -> bool:
    usage, constraints = certificate.key_usage, certificate.basic_constraints
    return (
        _is_p384(certificate.public_key)
        and usage is not None
        and usage.digital_signature
        and not usage.key_cert_sign
        and constraints is not None
        and not constraints.ca
        and certificate.critical <= HEEDED
    )


def _is_p384(key: object) -> TypeGuard[ec.EllipticCurvePublicKey]:
    return isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP384R1)


@lru_cache(maxsize=_REMEMBERED)
def _signed_by(issuer: bytes, certificate: bytes) -> bool:
    """Tell whether a certificate's signature is its issuer's. Depends on nothing but these bytes."""
    # `load` has read both before: they are remembered.
    found = _load(certificate)
    return found.algorithm == _ECDSA_SHA384 and _verifies(
        _load(issuer).public_key, found.signature, found.tbs
    )


def _verifies(key: object, signature: bytes, message: bytes) -> bool:
    if not _is_p384(key):
        return False
    try:
        key.verify(signature, message, _ECDSA)
    except InvalidSignature:
        return False
    return True


def check_revocation(
    findings: Findings, chain: Chain, lists: tuple[RevocationList, ...], now: int
) -> frozenset[str]:
    """Note whether the lists are current and an authority's own, and name none of its certificates.

    Returns the roles of the certificates that a list spoke for.
    """
    spoken: set[str] = set()
    for index, crl in enumerate(lists):
        links = [link for link in chain.links if link[2].subject == crl.issuer]
        findings.require(
            bool(links) and not crl.critical and _verifies(links[0][2].public_key, crl.signature, crl.tbs),
            f"revocation.signature.{index}",
            Reason.REVOCATION_UNKNOWN,
            expected="a complete list signed by an authority of this path",
            actual="another list",
            source="the revocation list",
            remedy="offer the lists of this path's authorities, or none",
        )
        findings.require(
            crl.this_update <= now < crl.next_update,
            f"revocation.dates.{index}",
            Reason.REVOCATION_UNKNOWN,
            expected=f"a time from {times.show(crl.this_update)} and before {times.show(crl.next_update)}",
            actual=times.show(now),
            source="the revocation list",
            remedy="fetch a current revocation list, and look at this machine's clock",
        )
        for role, certificate, _ in links:
            spoken.add(role)
            findings.require(
                certificate.serial not in crl.serials,
                f"revocation.{role}",
                Reason.REVOKED,
                expected=f"no entry for serial {certificate.serial:#x}",
                actual="an entry for it",
                source="the revocation list",
                remedy="AWS revoked this certificate: find out why before this instance is used again",
            )
    return frozenset(spoken)


def common_name(certificate: Certificate) -> str:
    """Return the common name of the subject; nothing if it has none, or several."""
    names = [text for oid, text in certificate.attributes if oid == _COMMON_NAME]
    return names[0] if len(names) == 1 else ""


def _shown(certificate: Certificate) -> str:
    return f"CN={common_name(certificate)[:_MAX_SHOWN]!r}"
