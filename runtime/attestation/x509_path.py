"""Vendor certificate paths: exactly root → intermediate → leaf, under a root pinned by its hash. Pure.

No path is searched for and no extension is ignored because it is unknown: the shape of AMD's three
certificates is written down (AMD 57230, sections 2 to 4) and anything else is refused. Whatever the
`cryptography` package raises about a certificate ends here as MalformedError.

Not defended: AMD publishes one revocation list per signer kind under the same root, and the lists do
not say which kind they are for; a fresh VCEK list therefore also passes for VLEK evidence.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtensionOID, NameOID, SignatureAlgorithmOID

from runtime.attestation import der_parts, public_keys
from runtime.attestation.model import Findings, Reason, Text, TrustRoot
from runtime.attestation.public_keys import PublicKey
from runtime.documents import times
from runtime.errors import MalformedError

# Specification constants: AMD 57230, "Versioned Chip Endorsement Key (VCEK) Certificate and KDS Interface".
_AMD_NAME = {
    NameOID.ORGANIZATIONAL_UNIT_NAME.dotted_string: "Engineering",
    NameOID.COUNTRY_NAME.dotted_string: "US",
    NameOID.LOCALITY_NAME.dotted_string: "Santa Clara",
    NameOID.STATE_OR_PROVINCE_NAME.dotted_string: "CA",
    NameOID.ORGANIZATION_NAME.dotted_string: "Advanced Micro Devices",
}
_COMMON_NAME = NameOID.COMMON_NAME.dotted_string
_PSS_SALT_BYTES = 48
_RSA_BITS = 4096

_PSS_NAME = SignatureAlgorithmOID.RSASSA_PSS.dotted_string

# Ours.
MAX_CERTIFICATE_SIZE = 16 * 1024  # bytes; AMD's are under 2 KiB
MAX_CRL_SIZE = 64 * 1024  # bytes; AMD's are under 2 KiB
# What `cryptography` is known to raise while it reads hostile certificates and lists, and `der_parts` would.
READ_ERRORS = (
    ValueError,
    TypeError,
    IndexError,
    OverflowError,
    UserWarning,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """One certificate, every field read; nothing about it is verified."""

    der: bytes
    serial: int
    subject: bytes  # DER of the name
    issuer: bytes  # DER of the name
    attributes: tuple[tuple[str, str], ...]  # of the subject: dotted OID and text, sorted
    not_before: int  # Unix seconds, inclusive
    not_after: int  # Unix seconds, inclusive
    public_key: PublicKey
    key_usage: x509.KeyUsage | None
    basic_constraints: x509.BasicConstraints | None
    unrecognised: Mapping[str, bytes]  # dotted OID -> value of extensions that X.509 does not define
    critical: frozenset[str]  # dotted OIDs
    extended_usage: frozenset[str]  # dotted OIDs; empty where it says nothing
    algorithm: bytes  # of the signature: AlgorithmIdentifier, DER
    tbs: bytes
    signature: bytes
    pss_sha384: bool  # signed with RSASSA-PSS, SHA-384, MGF1 over SHA-384, salt of 48 bytes


def load(data: bytes, what: str) -> Certificate:
    """Read one certificate, DER or a single PEM block. Raises: MalformedError."""
    if len(data) > MAX_CERTIFICATE_SIZE:
        raise MalformedError(what, f"is {len(data)} bytes, want at most {MAX_CERTIFICATE_SIZE}")
    # AMD gives every VEK the serial number 0, about which `cryptography` warns while loading; nowhere else is
    # this warning silenced. Any other is about a certificate that AMD did not make.
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        try:
            der = der_parts.in_der(data)
            return _read(x509.load_der_x509_certificate(der), der)
        except READ_ERRORS as error:
            raise MalformedError(what, f"is no certificate that can be read: {error}") from error


@lru_cache(maxsize=16)
def load_authority(data: bytes, what: str) -> Certificate:
    """Read as `load` does, and remember: the same few authorities come with all evidence of a fleet."""
    return load(data, what)


def _read(certificate: x509.Certificate, der: bytes) -> Certificate:
    key, parts = public_keys.accept(certificate.public_key()), der_parts.parts(der)
    known, foreign = dict[type, x509.ExtensionType](), dict[str, bytes]()
    critical: list[str] = []
    for extension in certificate.extensions:  # each is read here, and none comes twice
        value, name = extension.value, extension.oid.dotted_string
        if type(value) is x509.UnrecognizedExtension:
            foreign[name] = value.value
        known[type(value)] = value
        if extension.critical:
            critical.append(name)
    usages = cast("x509.ExtendedKeyUsage | tuple[()]", known.get(x509.ExtendedKeyUsage, ()))
    return Certificate(
        der=der,
        serial=parts.serial,
        subject=parts.subject,
        issuer=parts.issuer,
        attributes=tuple(sorted(der_parts.attributes(parts.subject))),
        not_before=int(certificate.not_valid_before_utc.timestamp()),
        not_after=int(certificate.not_valid_after_utc.timestamp()),
        public_key=key,
        key_usage=cast("x509.KeyUsage | None", known.get(x509.KeyUsage)),
        basic_constraints=cast("x509.BasicConstraints | None", known.get(x509.BasicConstraints)),
        unrecognised=foreign,
        critical=frozenset(critical),
        extended_usage=frozenset(oid.dotted_string for oid in usages),
        algorithm=parts.algorithm,
        tbs=parts.tbs,
        signature=parts.signature,
        pss_sha384=_is_pss_sha384(certificate, parts.algorithm),
    )


def _is_pss_sha384(signed: x509.Certificate | x509.CertificateRevocationList, algorithm: bytes) -> bool:
    return (
        der_parts.algorithm_name(algorithm) == _PSS_NAME
        and signed.signature_algorithm_parameters == _PSS
        and isinstance(signed.signature_hash_algorithm, hashes.SHA384)
    )


_SHA384 = hashes.SHA384()
_PSS = padding.PSS(mgf=padding.MGF1(_SHA384), salt_length=_PSS_SALT_BYTES)


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


def validity(certificate: Certificate) -> Text:
    """Return how to say when it is valid."""
    return lambda: f"a time from {times.show(certificate.not_before)} to {times.show(certificate.not_after)}"


def _check_signed(findings: Findings, role: str, child: Certificate, parent: Certificate) -> None:
    findings.require(
        child.pss_sha384 and verifies(parent.public_key, child.signature, child.tbs),
        f"chain.signature.{role}",
        Reason.CHAIN,
        expected=lambda: f"an RSASSA-PSS SHA-384 signature by {_common_name(parent)!r}",
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
        expected=lambda: f"AMD's CN={cn} issued by CN={_common_name(parent)}",
        actual=lambda: f"CN={_common_name(certificate)}" + ("" if issued else " issued by another name"),
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
        isinstance(key, rsa.RSAPublicKey)
        and key.key_size == _RSA_BITS
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
        key.verify(signature, message, _PSS, _SHA384)
    except (InvalidSignature, ValueError):
        return False
    return True


def _common_name(certificate: Certificate) -> str:
    return next((text for oid, text in certificate.attributes if oid == _COMMON_NAME), "(none)")


@dataclass(frozen=True, slots=True)
class Serials:
    """The serial numbers of a list, looked up where they are: a set of them costs more than the rest."""

    crl: x509.CertificateRevocationList

    def __contains__(self, serial: int) -> bool:
        # RFC 5280 has no serial number below zero: a certificate that does counts as revoked.
        return serial < 0 or self.crl.get_revoked_certificate_by_serial_number(serial) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationList:
    """One certificate revocation list, every field read; nothing about it is verified."""

    issuer: bytes  # DER of the name
    this_update: int  # Unix seconds
    next_update: int  # Unix seconds
    serials: Serials
    critical: bool  # it has a critical extension: a delta list, or one of part of the certificates
    algorithm: bytes  # of the signature: AlgorithmIdentifier, DER
    tbs: bytes
    signature: bytes
    pss_sha384: bool


def load_crl(data: bytes) -> RevocationList:
    """Read one revocation list, DER. Raises: MalformedError."""
    what = "revocation list"
    if len(data) > MAX_CRL_SIZE:
        raise MalformedError(what, f"is {len(data)} bytes, want at most {MAX_CRL_SIZE}")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        try:
            return _read_crl(x509.load_der_x509_crl(data), data)
        except READ_ERRORS as error:
            raise MalformedError(what, f"cannot be read: {error}") from error


def _read_crl(crl: x509.CertificateRevocationList, der: bytes) -> RevocationList:
    following = crl.next_update_utc
    if following is None:
        raise ValueError("does not say when the next one comes")
    tbs, algorithm, issuer, signature = der_parts.list_parts(der)
    return RevocationList(
        issuer=issuer,
        this_update=int(crl.last_update_utc.timestamp()),
        next_update=int(following.timestamp()),
        serials=Serials(crl),
        critical=any(extension.critical for extension in crl.extensions),
        tbs=tbs,
        signature=signature,
        algorithm=algorithm,
        pss_sha384=_is_pss_sha384(crl, algorithm),
    )


def check_revocation(findings: Findings, path: Path, crl: RevocationList, now: int) -> None:
    """Note whether the list is the root's own and current, and whether it names the intermediate.

    A leaf is not looked up: AMD gives every VEK the serial number 0 and revokes by TCB version instead.
    """
    root, source = path.root, "the revocation list"
    findings.require(
        crl.issuer == root.subject
        and not crl.critical
        and crl.pss_sha384
        and verifies(root.public_key, crl.signature, crl.tbs),
        "revocation.signature",
        Reason.REVOCATION_UNKNOWN,
        expected=lambda: f"a complete list signed by {_common_name(root)!r}",
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
