"""AMD's certificate paths: exactly root → intermediate → leaf, under a root pinned by its hash. Pure.

No path is searched for and no extension is ignored because it is unknown: the shape of AMD's three
certificates is written down (AMD 57230, sections 2 to 4) and anything else is refused.

Not defended: AMD publishes one revocation list per signer kind under the same root, and the lists do
not say which kind they are for; a fresh VCEK list therefore also passes for VLEK evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtensionOID, NameOID

from runtime.attestation.certificates import PSS, Certificate, RevocationList, validity
from runtime.attestation.findings import Findings, Reason
from runtime.attestation.public_keys import PublicKey
from runtime.attestation.snp_claims import TrustRoot
from runtime.documents import times

# Specification constants: AMD 57230, "Versioned Chip Endorsement Key (VCEK) Certificate and KDS Interface".
_AMD_NAME = {
    NameOID.ORGANIZATIONAL_UNIT_NAME.dotted_string: "Engineering",
    NameOID.COUNTRY_NAME.dotted_string: "US",
    NameOID.LOCALITY_NAME.dotted_string: "Santa Clara",
    NameOID.STATE_OR_PROVINCE_NAME.dotted_string: "CA",
    NameOID.ORGANIZATION_NAME.dotted_string: "Advanced Micro Devices",
}
_COMMON_NAME = NameOID.COMMON_NAME.dotted_string
_RSA_BITS = 4096
_SHA384 = hashes.SHA384()


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """The three certificates that were offered; `check_path` finds out whether they hold."""

    root: Certificate
    intermediate: Certificate
    leaf: Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The common names that one product line and one kind of signer have."""

    root: str
    intermediate: str
    leaf: str


def pinned(findings: Findings, root: Certificate, roots: tuple[TrustRoot, ...]) -> TrustRoot | None:
    """Note whether the root is one of `roots`; return it."""
    digest = sha256(root.der).digest()
    found = next((known for known in roots if known.sha256 == digest), None)
    findings.require(
        found is not None,
        "chain.root",
        Reason.CHAIN,
        expected=lambda: (
            ", ".join(f"{known.product} {known.sha256.hex()[:16]}…" for known in roots) or "no root at all"
        ),
        actual=lambda: digest.hex()[:16] + "…",
        source="SHA-256 of the root certificate",
        remedy="hardware chains to AMD's own root; a simulated TEE is accepted by tests only",
    )
    return found


def check_path(findings: Findings, path: Path, names: Names, now: int) -> None:
    """Note every check of the path but the pin: names, authority, signatures, dates.

    The pin is over every byte of the root: that it signed itself adds nothing, and is not looked at.
    """
    _check_name(findings, "root", path.root, path.root, names.root)
    _check_name(findings, "intermediate", path.intermediate, path.root, names.intermediate)
    _check_name(findings, "leaf", path.leaf, path.intermediate, names.leaf)
    _check_authority(findings, path)
    _check_signed(findings, "intermediate", path.intermediate, path.root)
    _check_signed(findings, "leaf", path.leaf, path.intermediate)
    for role, child in (("root", path.root), ("intermediate", path.intermediate), ("leaf", path.leaf)):
        findings.require(
            child.not_before <= now <= child.not_after,
            f"chain.dates.{role}",
            Reason.EXPIRED,
            expected=validity(child),
            actual=lambda: times.show(now),
            source=f"the {role} certificate",
            remedy="fetch a current certificate, and look at this machine's clock",
        )


def _check_signed(findings: Findings, role: str, child: Certificate, parent: Certificate) -> None:
    findings.require(
        signed_by(child, parent),
        f"chain.signature.{role}",
        Reason.CHAIN,
        expected=lambda: f"an RSASSA-PSS SHA-384 signature by {common_name(parent)!r}",
        actual="one that does not verify" if child.pss_sha384 else "another algorithm",
        source=f"the {role} certificate",
        remedy="fetch the certificate chain of this chip's product line again",
    )


def _check_name(
    findings: Findings, role: str, certificate: Certificate, parent: Certificate, cn: str
) -> None:
    wanted, issued = sorted((_AMD_NAME | {_COMMON_NAME: cn}).items()), certificate.issuer == parent.subject
    findings.require(
        certificate.attributes == tuple(wanted) and issued,
        f"chain.names.{role}",
        Reason.CHAIN,
        expected=lambda: f"AMD's CN={cn} issued by CN={common_name(parent)}",
        actual=lambda: f"CN={common_name(certificate)}" + ("" if issued else " issued by another name"),
        source=f"the {role} certificate",
        remedy="offer the chain of the chip's own product line and kind of signing key",
    )


def _check_authority(findings: Findings, path: Path) -> None:
    root, middle, leaf = path.root, path.intermediate, path.leaf
    facts = {
        "root": _is_authority(root, crl=True, path_length=None),
        "intermediate": _is_authority(middle, crl=False, path_length=0),
        "leaf": _is_end_entity(leaf),
    }
    for role, ok in facts.items():
        findings.require(
            ok,
            f"chain.authority.{role}",
            Reason.CHAIN,
            expected="the key, the CA flags and the extensions that AMD gives this certificate",
            actual="others",
            source=f"the {role} certificate",
            remedy="a certificate of this shape was not made by AMD: find out who made it",
        )


def _is_authority(certificate: Certificate, *, crl: bool, path_length: int | None) -> bool:
    usage, constraints, key = certificate.key_usage, certificate.basic_constraints, certificate.public_key
    return (
        key.key_size == _RSA_BITS  # which no curve has
        and usage is not None
        and usage.key_cert_sign
        and usage.crl_sign == crl
        and constraints is not None
        and constraints.ca
        and constraints.path_length == path_length
        and certificate.critical
        <= {ExtensionOID.KEY_USAGE.dotted_string, ExtensionOID.BASIC_CONSTRAINTS.dotted_string}
    )


def _is_end_entity(certificate: Certificate) -> bool:
    key = certificate.public_key
    return (
        isinstance(key, ec.EllipticCurvePublicKey)
        and isinstance(key.curve, ec.SECP384R1)
        and (certificate.basic_constraints is None or not certificate.basic_constraints.ca)
        and (certificate.key_usage is None or not certificate.key_usage.key_cert_sign)
        and not certificate.critical
    )


def verifies(key: PublicKey, signature: bytes, message: bytes) -> bool:
    """Tell whether an RSA key made this PSS SHA-384 signature; any other kind of key did not."""
    if not isinstance(key, rsa.RSAPublicKey):
        return False
    try:
        key.verify(signature, message, PSS, _SHA384)
    except (InvalidSignature, ValueError):
        return False
    return True


def signed_by(child: Certificate | RevocationList, parent: Certificate) -> bool:
    """Tell whether a certificate or list says that it has AMD's kind of signature, and the parent made it."""
    return child.pss_sha384 and verifies(parent.public_key, child.signature, child.tbs)


def is_list_of(crl: RevocationList, root: Certificate) -> bool:
    """Tell whether it is a complete list in the root's name, and signed by the root."""
    return crl.issuer == root.subject and not crl.critical and signed_by(crl, root)


def common_name(certificate: Certificate) -> str:
    """Return the CN, or a word that no CN of AMD's is."""
    return next((text for oid, text in certificate.attributes if oid == _COMMON_NAME), "(none)")


def check_revocation(findings: Findings, path: Path, crl: RevocationList, now: int) -> None:
    """Note whether the list is the root's own and current, and whether it names the intermediate.

    A leaf is not looked up: AMD gives every VEK the serial number 0 and revokes by TCB version instead.
    """
    root, source = path.root, "the revocation list"
    findings.require(
        is_list_of(crl, root),
        "revocation.signature",
        Reason.REVOCATION_UNKNOWN,
        expected=lambda: f"a complete list signed by {common_name(root)!r}",
        actual="another list",
        source=source,
        remedy="fetch the revocation list of the chip's product line",
    )
    findings.require(
        crl.this_update <= now < crl.next_update,
        "revocation.dates",
        Reason.REVOCATION_UNKNOWN,
        expected=lambda: (
            f"a time from {times.show(crl.this_update)} and before {times.show(crl.next_update)}"
        ),
        actual=lambda: times.show(now),
        source=source,
        remedy="fetch a current revocation list, and look at this machine's clock",
    )
    findings.require(
        path.intermediate.serial not in crl.serials,
        "revocation.intermediate",
        Reason.REVOKED,
        expected=f"no entry for serial {path.intermediate.serial:#x}",
        actual="an entry for it",
        source=source,
        remedy="AMD revoked this signing key: fetch the present chain and endorsement of the chip",
    )
