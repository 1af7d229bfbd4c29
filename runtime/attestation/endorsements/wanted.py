"""Which endorsements evidence lacks, and where each is published. Pure: it names, `endorser` fetches.

    amd_kds        AMD's key distribution service (AMD 57230): VCEK, chain, revocation list
    azure_thim     Azure's cache of AMD's certificates, a link-local address
    intel_pcs      Intel's provisioning certification service, version 4: TDX collateral in four answers
    google_launch  Google's launch endorsements (`google/gce-tcb-verifier`): objects named by the measurement
    authority      what a certificate says about its issuer (RFC 5280, 4.2.2.1) and revocation list (4.2.1.13)

Asked again with what was fetched, it names what that leads to: an issuer's issuer, up to the root. The
certificates of `authority` are verified only once their root is there (`genuine`), so no hosts are named but
those that vendors publish on.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import AuthorityInformationAccessOID

from runtime.attestation import certificates
from runtime.attestation.tees.azure import hcl
from runtime.attestation.tees.snp import SnpTee
from runtime.attestation.tees.snp import report as snp_report
from runtime.attestation.tees.tdx import pck, sgx_extension
from runtime.attestation.tees.tdx import quote as td_quote
from runtime.attestation.wire import Evidence
from runtime.errors import MalformedError

Source = Literal["amd_kds", "azure_thim", "intel_pcs", "google_launch", "authority"]
Kind = Literal["certificate", "chain", "crl", "collateral", "thim", "launch"]

# Hosts, or what they end in, on which Microsoft and Google publish authorities of attestation keys.
AUTHORITY_HOSTS: tuple[str, ...] = (
    "www.microsoft.com",
    "crl.microsoft.com",
    ".pki.core.windows.net",
    "pki.goog",
    ".storage.googleapis.com",
)
AK_ORDER = ("ak_certificate", "ak_authority_1", "ak_authority_2", "ak_root")


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """One thing to fetch: whose, what kind, at which paths, and the endorsements it gives."""

    source: Source
    kind: Kind
    paths: tuple[
        str, ...
    ]  # below the source's base URL; of `authority` whole URLs, each as good as the others
    gives: tuple[str, ...]

    @property
    def key(self) -> str:
        """The name it is kept under."""
        return f"{self.source} {self.kind} {self.paths[0]}"


def endorsements_needed(evidence: Evidence) -> tuple[Want, ...]:
    """Name what is missing and can be fetched; nothing if all is there. Raises: MalformedError."""
    wants: list[Want] = []
    name, parts = evidence.format, evidence.parts
    if name == "azure-snp":
        wants += _azure_snp(evidence)
    elif "snp_report" in parts:
        wants += _amd(evidence)
    if "td_quote" in parts and "tdx_collateral" not in evidence.endorsements:
        wants.append(_intel(parts["td_quote"]))
    if name in {"gcp-snp", "gcp-tdx"} and "launch_endorsement" not in evidence.endorsements:
        wants.append(_google(parts))
    if "ak_certificate" in evidence.endorsements:
        wants += _authorities(evidence.endorsements)
    return tuple(wants)


def _amd(evidence: Evidence) -> list[Want]:
    found: dict[str, list[str]] = {}
    for ref in SnpTee().endorsements_needed(evidence):
        found.setdefault(ref.path, []).append(ref.name)
    kinds: dict[str, Kind] = {"vek": "certificate", "crl": "crl"}
    return [
        Want(source="amd_kds", kind=kinds.get(names[0], "chain"), paths=(path,), gives=tuple(names))
        for path, names in found.items()
    ]


def _azure_snp(evidence: Evidence) -> list[Want]:
    """Azure hands the certificates out itself; the revocation list is AMD's."""
    inner = Evidence(
        format="sev-snp",
        parts={"snp_report": hcl.parse(evidence.parts["hcl_report"]).tee_report},
        endorsements={
            n: v for n, v in evidence.endorsements.items() if n in {"vek", "intermediate", "root", "crl"}
        },
    )
    amd = _amd(inner)
    missing = {name for want in amd if want.kind != "crl" for name in want.gives}
    wants = [want for want in amd if want.kind == "crl"]
    if missing:
        path = "/metadata/THIM/amd/certification"
        wants.insert(0, Want(source="azure_thim", kind="thim", paths=(path,), gives=tuple(sorted(missing))))
    return wants


def _intel(data: bytes) -> Want:
    chain = pck.load_chain(td_quote.parse(data).pck_chain, 3, "PCK chain", {})
    platform = sgx_extension.read(chain[0])
    authority = "platform" if "Platform" in pck.common_name(chain[1]) else "processor"
    return Want(
        source="intel_pcs",
        kind="collateral",
        paths=(
            f"/tdx/certification/v4/tcb?fmspc={platform.fmspc.hex().upper()}",
            "/tdx/certification/v4/qe/identity",
            f"/sgx/certification/v4/pckcrl?ca={authority}&encoding=der",
            "/sgx/certification/v4/rootcacrl",
        ),
        gives=("tdx_collateral",),
    )


def _google(parts: Mapping[str, bytes]) -> Want:
    technology, measured = launched(parts)
    path = f"/{'sevsnp' if technology == 'snp' else 'tdx'}/{measured.hex()}.binarypb"
    return Want(source="google_launch", kind="launch", paths=(path,), gives=("launch_endorsement",))


def launched(parts: Mapping[str, bytes]) -> tuple[Literal["snp", "tdx"], bytes]:
    """Return which kind of launch it was, and its measurement (48 bytes). Raises: MalformedError."""
    if "snp_report" in parts:
        return "snp", snp_report.parse(parts["snp_report"]).measurement
    return "tdx", td_quote.parse(parts["td_quote"]).report.mrtd


def _authorities(have: Mapping[str, bytes]) -> list[Want]:
    """Name the next issuer of the attestation key's path, and the lists of those that are there."""
    wants: list[Want] = []
    chain = [load(have[name], name) for name in AK_ORDER if name in have]
    top = chain[-1]
    if top.subject != top.issuer:
        issuers = _urls(top, _issuer_urls)
        names = [name for name in AK_ORDER[1:] if name not in have]
        if issuers and names:
            # Whether it is the root is known when it is here: `contents` gives it the right name.
            wants.append(Want(source="authority", kind="certificate", paths=issuers, gives=tuple(names)))
    for name in AK_ORDER[:3]:  # the list of each one's issuer; a root has none
        kept = "ak_crl" if name == "ak_certificate" else f"{name}_crl"
        if name not in have or kept in have:
            continue
        if lists := _urls(load(have[name], name), _crl_urls):
            wants.append(Want(source="authority", kind="crl", paths=lists, gives=(kept,)))
    return wants


def load(data: bytes, what: str) -> x509.Certificate:
    """Read a certificate in DER. Raises: MalformedError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        try:
            found = x509.load_der_x509_certificate(data)
            _ = found.extensions, found.subject, found.issuer  # read when they are asked for, and not before
        except certificates.READ_ERRORS as error:
            raise MalformedError(what, f"is no certificate in DER: {error}") from error
        return found


def _urls(of: x509.Certificate, read: Callable[[x509.Certificate], list[str]]) -> tuple[str, ...]:
    try:
        found = read(of)
    except x509.ExtensionNotFound:
        return ()
    return tuple(url for url in found if _is_published(url))


def _is_published(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if parts.scheme != "http" or port not in {None, 80} or parts.username is not None:
        return False
    return any(host.endswith(known) if known[0] == "." else host == known for known in AUTHORITY_HOSTS)


def _issuer_urls(of: x509.Certificate) -> list[str]:
    access = of.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    return [
        entry.access_location.value
        for entry in access
        if entry.access_method == AuthorityInformationAccessOID.CA_ISSUERS
        and isinstance(entry.access_location, x509.UniformResourceIdentifier)
    ]


def _crl_urls(of: x509.Certificate) -> list[str]:
    points = of.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    return [
        name.value
        for point in points
        for name in point.full_name or []
        if isinstance(name, x509.UniformResourceIdentifier)
    ]
