"""Who vouches for an attestation key: Microsoft's or Google's certificate path, shape and names known. Pure.

No path is searched for: the certificates come leaf first, root last, and their number and names are those
that the vendor issues. Nothing but RSASSA-PKCS1-v1_5 with SHA-256 or longer under RSA keys of 2048 bits or
more is used by either.

    Azure   <id>.ConfidentialVM.Azure.windows.net ← Azure Cloud Virtual TPM CA - 11
                ← Azure Cloud Virtual TPM CA 2025 ← Azure Virtual TPM Root Certificate Authority 2023
            the same leaf ← Global Virtual TPM CA - 03 ← the same root
    Google  <instance id> ← EK/AK CA Intermediate ← EK/AK CA Root

Not defended: neither vendor's revocation lists travel with evidence, so a withdrawn authority passes until
its certificate ends; `AkPath.endorsed_until` says when that is.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType
from typing import Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import ExtensionOID, NameOID, SignatureAlgorithmOID

from runtime.attestation import x509_path
from runtime.attestation.model import Findings, Reason
from runtime.attestation.tees.tpm import public
from runtime.attestation.tees.tpm.public import PublicKey
from runtime.attestation.x509_path import Certificate
from runtime.documents import times
from runtime.errors import MalformedError

Vendor = Literal["microsoft", "google"]

MAX_PATH = 4  # certificates
AIK_USAGE = "2.23.133.8.3"  # tcg-kp-AIKCertificate (TCG EK Credential Profile 2.4, section 4)
_MIN_RSA_BITS = 2048
_CRITICAL = {ExtensionOID.KEY_USAGE.dotted_string, ExtensionOID.BASIC_CONSTRAINTS.dotted_string}
_PKCS1 = {
    SignatureAlgorithmOID.RSA_WITH_SHA256,
    SignatureAlgorithmOID.RSA_WITH_SHA384,
    SignatureAlgorithmOID.RSA_WITH_SHA512,
}
_WHAT = "AK certificate"

_CN = NameOID.COMMON_NAME.dotted_string
_O = NameOID.ORGANIZATION_NAME.dotted_string


@dataclass(frozen=True, slots=True, kw_only=True)
class AkRoot:
    """A root for attestation keys by the SHA-256 of its DER; what chains to a `test` root is grade T."""

    kind: Literal["hardware", "test"]
    vendor: Vendor
    sha256: bytes  # 32


# Azure Virtual TPM Root Certificate Authority 2023, and EK/AK CA Root of Google Cloud.
AZURE_ROOT = AkRoot(
    kind="hardware",
    vendor="microsoft",
    sha256=bytes.fromhex("e6c596b17f8ffefba5c300f714cfb1260c6028704ecf7becc4ab5018efb00e95"),
)
GOOGLE_ROOT = AkRoot(
    kind="hardware",
    vendor="google",
    sha256=bytes.fromhex("594759594b9b61524f6c8ef668f7177f7b9066bc0674f2f49fe9e052be78beb2"),
)


@dataclass(frozen=True, slots=True)
class _Shape:
    leaf: str  # regular expression of the common name
    authorities: tuple[tuple[str, ...], ...]  # common names from the leaf's issuer to the root
    organizations: frozenset[str]  # of the authorities; "" where a name has none
    aik_usage: bool  # the leaf says that it is for attestation keys


_AZURE_ROOT = r"Azure Virtual TPM Root Certificate Authority \d{4}"
_SHAPES: Mapping[Vendor, _Shape] = MappingProxyType(
    {
        "microsoft": _Shape(
            leaf=r"[0-9a-f]{6,64}\.ConfidentialVM\.Azure\.windows\.net",
            authorities=(
                (r"Azure Cloud Virtual TPM CA - \d{2}", r"Azure Cloud Virtual TPM CA \d{4}", _AZURE_ROOT),
                (r"Global Virtual TPM CA - \d{2}", _AZURE_ROOT),
            ),
            organizations=frozenset({"", "Microsoft Corporation"}),
            aik_usage=True,
        ),
        "google": _Shape(
            leaf=r"\d{1,20}",
            authorities=((r"EK/AK CA Intermediate", r"EK/AK CA Root"),),
            organizations=frozenset({"Google LLC"}),
            aik_usage=False,
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One certificate of a path, and what `x509_path` does not read of it."""

    certificate: Certificate
    hash: hashes.HashAlgorithm | None  # None: signed in another way than is used here
    extended_usage: frozenset[str]  # dotted OIDs

    @property
    def name(self) -> str:
        """The common name, for people and for the shape."""
        names = [text for oid, text in self.certificate.attributes if oid == _CN]
        return names[0] if len(names) == 1 else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AkPath:
    """A path that held: whose key the leaf is, on whose word. Made by `check_path` alone."""

    vendor: Vendor
    root: AkRoot
    key: PublicKey
    leaf: Certificate
    endorsed_until: int  # Unix seconds
    newest_endorsement: int  # Unix seconds


def check_path(
    findings: Findings,
    certificates: Sequence[bytes],
    vendor: Vendor,
    roots: tuple[AkRoot, ...],
    now: int,
) -> AkPath | None:
    """Note every check of a path, leaf first and root last; None if its root is not pinned.

    The path holds only if the findings settle. Raises: MalformedError.
    """
    shape = _SHAPES[vendor]
    if not 2 <= len(certificates) <= MAX_PATH:
        raise MalformedError(_WHAT, f"path has {len(certificates)} certificates, want 2 to {MAX_PATH}")
    path = [_load(data) for data in certificates]
    root = _pinned(findings, path[-1].certificate, vendor, roots)
    _check_names(findings, path, shape)
    for depth, entry in enumerate(path):
        issuer = path[min(depth + 1, len(path) - 1)]
        _check_one(findings, entry, issuer, depth, now, leaf_usage=shape.aik_usage)
    if root is None:
        return None
    leaf = path[0].certificate
    return AkPath(
        vendor=vendor,
        root=root,
        key=public.accept(leaf.public_key, _WHAT),
        leaf=leaf,
        endorsed_until=min(entry.certificate.not_after + 1 for entry in path),
        newest_endorsement=max(entry.certificate.not_before for entry in path),
    )


def _load(data: bytes) -> _Entry:
    certificate = x509_path.load(data, _WHAT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `load` made errors of them
        parsed = x509.load_der_x509_certificate(certificate.der)
        algorithm = parsed.signature_hash_algorithm if parsed.signature_algorithm_oid in _PKCS1 else None
        usages = [
            extension.value
            for extension in parsed.extensions
            if isinstance(extension.value, x509.ExtendedKeyUsage)
        ]
    return _Entry(
        certificate=certificate,
        hash=algorithm,
        extended_usage=frozenset(oid.dotted_string for usage in usages for oid in usage),
    )


def _pinned(
    findings: Findings, root: Certificate, vendor: Vendor, roots: tuple[AkRoot, ...]
) -> AkRoot | None:
    digest = sha256(root.der).digest()
    mine = [known for known in roots if known.vendor == vendor]
    found = next((known for known in mine if known.sha256 == digest), None)
    findings.require(
        found is not None,
        "ak.root",
        Reason.CHAIN,
        expected=", ".join(f"{known.sha256.hex()[:16]}…" for known in mine) or "no root at all",
        actual=digest.hex()[:16] + "…",
        source="SHA-256 of the last certificate of the path",
        remedy=f"the path has to end in {vendor}'s own root for virtual TPMs; a simulated one is for tests",
    )
    return found


def _check_names(findings: Findings, path: list[_Entry], shape: _Shape) -> None:
    authorities = [entry.name for entry in path[1:]]
    fits = any(
        len(names) == len(authorities)
        and all(re.fullmatch(wanted, name) for wanted, name in zip(names, authorities, strict=True))
        for names in shape.authorities
    )
    organizations = {
        next((text for oid, text in entry.certificate.attributes if oid == _O), "") for entry in path[1:]
    }
    findings.require(
        fits and organizations <= shape.organizations and re.fullmatch(shape.leaf, path[0].name) is not None,
        "ak.names",
        Reason.CHAIN,
        expected=" or ".join(f"{shape.leaf} ← {' ← '.join(names)}" for names in shape.authorities),
        actual=" ← ".join(entry.name or "(none)" for entry in path),
        source="the certificates of the attestation key",
        remedy="send the path that the vendor issued for this machine's attestation key, leaf first",
    )


def _check_one(
    findings: Findings, entry: _Entry, issuer: _Entry, depth: int, now: int, *, leaf_usage: bool
) -> None:
    certificate, parent = entry.certificate, issuer.certificate
    source = f"the certificate {entry.name or '(without a name)'}"
    findings.require(
        certificate.issuer == parent.subject and _signed(entry, parent.public_key),
        f"ak.signature.{depth}",
        Reason.CHAIN,
        expected=f"an RSASSA-PKCS1-v1_5 signature by {issuer.name!r}",
        actual="another issuer, algorithm or signature",
        source=source,
        remedy="fetch the path again: these certificates do not belong together",
    )
    findings.require(
        _is_leaf(entry, aik_usage=leaf_usage) if depth == 0 else _is_authority(entry, below=depth - 1),
        f"ak.authority.{depth}",
        Reason.CHAIN,
        expected="the flags, key and extensions of "
        + ("an attestation key" if depth == 0 else "an authority"),
        actual="others",
        source=source,
        remedy="a certificate of this shape was not made for this place in the path",
    )
    findings.require(
        certificate.not_before <= now <= certificate.not_after,
        f"ak.dates.{depth}",
        Reason.EXPIRED,
        expected=f"a time from {times.show(certificate.not_before)} to {times.show(certificate.not_after)}",
        actual=times.show(now),
        source=source,
        remedy="fetch a current certificate, and look at this machine's clock",
    )


def _signed(entry: _Entry, key: PublicKey) -> bool:
    if entry.hash is None or not isinstance(key, rsa.RSAPublicKey) or key.key_size < _MIN_RSA_BITS:
        return False
    try:
        key.verify(entry.certificate.signature, entry.certificate.tbs, padding.PKCS1v15(), entry.hash)
    except InvalidSignature:
        return False
    return True


def _is_leaf(entry: _Entry, *, aik_usage: bool) -> bool:
    constraints, usage = entry.certificate.basic_constraints, entry.certificate.key_usage
    return (
        constraints is not None
        and not constraints.ca
        and usage is not None
        and usage.digital_signature
        and not usage.key_cert_sign
        and entry.certificate.critical <= _CRITICAL
        and (AIK_USAGE in entry.extended_usage or not aik_usage)
    )


def _is_authority(entry: _Entry, *, below: int) -> bool:
    """`below`: how many authorities stand between this one and the leaf."""
    constraints, usage = entry.certificate.basic_constraints, entry.certificate.key_usage
    return (
        constraints is not None
        and constraints.ca
        and (constraints.path_length is None or constraints.path_length >= below)
        and usage is not None
        and usage.key_cert_sign
        and entry.certificate.critical <= _CRITICAL
    )


def check_key(findings: Findings, path: AkPath, ak: PublicKey) -> None:
    """Note whether the path's leaf is about this very attestation key."""
    findings.require(
        public.spki(path.key) == public.spki(ak),
        "ak.key",
        Reason.BINDING,
        expected=sha256(public.spki(ak)).hexdigest(),
        actual=sha256(public.spki(path.key)).hexdigest(),
        source="SHA-256 of the key in the attestation key's certificate",
        remedy="send the certificate of the key that signs the quotes",
    )
