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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from types import MappingProxyType
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID, SignatureAlgorithmOID

from runtime.attestation import certificates, der_parts
from runtime.attestation.authority import HEEDED, is_authority
from runtime.attestation.certificates import Certificate, RevocationList
from runtime.attestation.findings import Findings, Reason, Text
from runtime.attestation.tees.tpm import public
from runtime.attestation.tees.tpm.public import PublicKey
from runtime.documents import times
from runtime.errors import MalformedError

Vendor = Literal["microsoft", "google"]

MAX_PATH = 4  # certificates
AIK_USAGE = "2.23.133.8.3"  # tcg-kp-AIKCertificate (TCG EK Credential Profile 2.4, section 4)
_MIN_RSA_BITS = 2048
_PADDING = padding.PKCS1v15()
_PKCS1: Mapping[str, hashes.HashAlgorithm] = MappingProxyType(
    {
        SignatureAlgorithmOID.RSA_WITH_SHA256.dotted_string: hashes.SHA256(),
        SignatureAlgorithmOID.RSA_WITH_SHA384.dotted_string: hashes.SHA384(),
        SignatureAlgorithmOID.RSA_WITH_SHA512.dotted_string: hashes.SHA512(),
    }
)
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
    ders: Sequence[bytes],
    vendor: Vendor,
    roots: tuple[AkRoot, ...],
    now: int,
) -> AkPath | None:
    """Note every check of a path, leaf first and root last; None if its root is not pinned.

    The pin is over every byte of the root: that it signed itself adds nothing, and is not looked at. The path
    holds only if the findings settle. Raises: MalformedError.
    """
    shape = _SHAPES[vendor]
    if not 2 <= len(ders) <= MAX_PATH:
        raise MalformedError(_WHAT, f"path has {len(ders)} certificates, want 2 to {MAX_PATH}")
    path = [certificates.load(data, _WHAT) for data in ders]
    root = _pinned(findings, path[-1], vendor, roots)
    _check_names(findings, path, shape)
    for depth, (entry, issuer) in enumerate(pairwise(path)):
        _check_signed(findings, entry, issuer, depth)
    for depth, entry in enumerate(path):
        _check_shape(findings, entry, depth, leaf_usage=shape.aik_usage)
        _check_dates(findings, entry, depth, now)
    if root is None:
        return None
    leaf = path[0]
    return AkPath(
        vendor=vendor,
        root=root,
        key=public.accept(leaf.public_key, _WHAT),
        leaf=leaf,
        endorsed_until=min(entry.not_after + 1 for entry in path),
        newest_endorsement=max(entry.not_before for entry in path),
    )


def _name(certificate: Certificate) -> str:
    """Return the common name, for people and for the shape; nothing if it has none, or several."""
    names = [text for oid, text in certificate.attributes if oid == _CN]
    return names[0] if len(names) == 1 else ""


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
        expected=lambda: ", ".join(f"{known.sha256.hex()[:16]}…" for known in mine) or "no root at all",
        actual=lambda: digest.hex()[:16] + "…",
        source="SHA-256 of the last certificate of the path",
        remedy=f"the path has to end in {vendor}'s own root for virtual TPMs; a simulated one is for tests",
    )
    return found


def _check_names(findings: Findings, path: list[Certificate], shape: _Shape) -> None:
    authorities = [_name(entry) for entry in path[1:]]
    fits = any(
        len(names) == len(authorities)
        and all(re.fullmatch(wanted, name) for wanted, name in zip(names, authorities, strict=True))
        for names in shape.authorities
    )
    organizations = {next((text for oid, text in entry.attributes if oid == _O), "") for entry in path[1:]}
    findings.require(
        fits
        and organizations <= shape.organizations
        and re.fullmatch(shape.leaf, _name(path[0])) is not None,
        "ak.names",
        Reason.CHAIN,
        expected=lambda: " or ".join(f"{shape.leaf} ← {' ← '.join(names)}" for names in shape.authorities),
        actual=lambda: " ← ".join(_name(entry) or "(none)" for entry in path),
        source="the certificates of the attestation key",
        remedy="send the path that the vendor issued for this machine's attestation key, leaf first",
    )


def _check_signed(findings: Findings, entry: Certificate, issuer: Certificate, depth: int) -> None:
    findings.require(
        entry.issuer == issuer.subject and signed_by(entry, issuer.public_key),
        f"ak.signature.{depth}",
        Reason.CHAIN,
        expected=lambda: f"an RSASSA-PKCS1-v1_5 signature by {_name(issuer)!r}",
        actual="another issuer, algorithm or signature",
        source=_source(entry),
        remedy="fetch the path again: these certificates do not belong together",
    )


def _check_shape(findings: Findings, entry: Certificate, depth: int, *, leaf_usage: bool) -> None:
    findings.require(
        _is_leaf(entry, aik_usage=leaf_usage) if depth == 0 else is_authority(entry, below=depth - 1),
        f"ak.authority.{depth}",
        Reason.CHAIN,
        expected="the flags, key and extensions of "
        + ("an attestation key" if depth == 0 else "an authority"),
        actual="others",
        source=_source(entry),
        remedy="a certificate of this shape was not made for this place in the path",
    )


def _check_dates(findings: Findings, entry: Certificate, depth: int, now: int) -> None:
    findings.require(
        entry.not_before <= now <= entry.not_after,
        f"ak.dates.{depth}",
        Reason.EXPIRED,
        expected=certificates.validity(entry),
        actual=lambda: times.show(now),
        source=_source(entry),
        remedy="fetch a current certificate, and look at this machine's clock",
    )


def _source(entry: Certificate) -> Text:
    return lambda: f"the certificate {_name(entry) or '(without a name)'}"


def signed_by(entry: Certificate | RevocationList, key: PublicKey) -> bool:
    """Tell whether an RSA key signed a certificate or a list, in the way that both vendors do."""
    algorithm = _PKCS1.get(der_parts.algorithm_name(entry.algorithm))
    if algorithm is None or not isinstance(key, rsa.RSAPublicKey) or key.key_size < _MIN_RSA_BITS:
        return False
    try:
        key.verify(entry.signature, entry.tbs, _PADDING, algorithm)
    except InvalidSignature:
        return False
    return True


def is_list_of(crl: RevocationList, issuer: Certificate) -> bool:
    """Tell whether it is a complete list in the issuer's name, and signed by the issuer."""
    return crl.issuer == issuer.subject and not crl.critical and signed_by(crl, issuer.public_key)


def _is_leaf(entry: Certificate, *, aik_usage: bool) -> bool:
    constraints, usage = entry.basic_constraints, entry.key_usage
    return (
        constraints is not None
        and not constraints.ca
        and usage is not None
        and usage.digital_signature
        and not usage.key_cert_sign
        and entry.critical <= HEEDED
        and (AIK_USAGE in entry.extended_usage or not aik_usage)
    )


def check_key(findings: Findings, path: AkPath, ak: PublicKey) -> None:
    """Note whether the path's leaf is about this very attestation key."""
    certified, wanted = public.spki(path.key), public.spki(ak)
    findings.require(
        certified == wanted,
        "ak.key",
        Reason.BINDING,
        expected=lambda: sha256(wanted).hexdigest(),
        actual=lambda: sha256(certified).hexdigest(),
        source="SHA-256 of the key in the attestation key's certificate",
        remedy="send the certificate of the key that signs the quotes",
    )
