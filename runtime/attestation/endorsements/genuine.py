"""Does it hold together: is each item signed by whom it has to be, up to a pinned root? Pure.

A bundle needs no trust, a cache is a folder, some endorsers are asked over plain HTTP: without this, whoever
writes there puts a broken item in a good one's place. The checks are the verifier's own (`tees`), which makes
them again. What is genuine and says something bad (revoked, out of date) is let through: it is for the
verifier to say so. Ends are the caller's: `contents` reads them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from runtime.attestation import certificates
from runtime.attestation.certificates import Certificate
from runtime.attestation.endorsements.wanted import AK_ORDER, Want, launched
from runtime.attestation.findings import Check, EvidenceRefusedError, Findings, Reason
from runtime.attestation.snp_claims import TrustRoot
from runtime.attestation.tees import Root
from runtime.attestation.tees.azure import hcl
from runtime.attestation.tees.composites import gather
from runtime.attestation.tees.google import launch_endorsement
from runtime.attestation.tees.google.launch_endorsement import GoogleRoot
from runtime.attestation.tees.snp import path as amd_path
from runtime.attestation.tees.snp import report as snp_report
from runtime.attestation.tees.snp import verify as snp
from runtime.attestation.tees.snp.path import Path
from runtime.attestation.tees.tdx import collateral, pck, sgx_extension
from runtime.attestation.tees.tdx import quote as td_quote
from runtime.attestation.tees.tdx.pck import PckChain
from runtime.attestation.tees.tpm import ak
from runtime.attestation.wire import Evidence
from runtime.errors import MalformedError

# What a genuine item may come to: the verifier says it better than a missing one would.
_TELLING = frozenset({Reason.EXPIRED, Reason.REVOKED})


def issuer_missing(want: Want, evidence: Evidence) -> bool:
    """Tell whether what is wanted could not be checked now: its issuer's certificate is not there."""
    if want.source == "amd_kds" and want.kind in {"certificate", "crl"}:
        have = _amd_have(evidence)[1]
        return ("intermediate" if want.kind == "certificate" else "root") not in have
    if want.source == "authority" and want.kind == "crl":
        return _list_issuer(want, evidence) is None
    return False


def check(
    want: Want, found: Mapping[str, bytes], evidence: Evidence, roots: tuple[Root, ...], now: int
) -> None:
    """Refuse what does not hold together with the evidence. Raises: MalformedError."""
    whole = Evidence(
        format=evidence.format, parts=evidence.parts, endorsements={**evidence.endorsements, **found}
    )
    if want.source in {"amd_kds", "azure_thim"}:
        _amd(want, found, whole, roots, now)
    elif want.source == "intel_pcs":
        _intel(want, found["tdx_collateral"], whole, roots, now)
    elif want.source == "google_launch":
        _google(want, found["launch_endorsement"], whole, roots, now)
    elif want.kind == "crl":
        issuer = _list_issuer(want, whole)
        crl = certificates.load_crl(found[want.gives[0]])
        _require(
            want, issuer is not None and ak.is_list_of(crl, issuer), "is no list of the path's authority"
        )
    elif "ak_root" in found:  # below the root nothing is known yet: the path is judged as a whole
        findings = Findings()
        vendor: Literal["microsoft", "google"] = (
            "microsoft" if evidence.format.startswith("azure") else "google"
        )
        ak.check_path(findings, gather.ak_certificates(whole), vendor, gather.ak_roots(roots), now)
        _settle(want, findings.failed())


def _amd_have(evidence: Evidence) -> tuple[snp_report.Report, dict[str, bytes]]:
    """Return the report, and what came along or was found for it."""
    raw = evidence.parts.get("snp_report") or hcl.parse(evidence.parts["hcl_report"]).tee_report
    parsed = snp_report.parse(raw)
    return parsed, snp.offered(evidence, parsed.signer)


def _amd(want: Want, found: Mapping[str, bytes], whole: Evidence, roots: tuple[Root, ...], now: int) -> None:
    """A root of the report's product, an intermediate and a list of that root, a leaf of that path."""
    parsed, have = _amd_have(whole)
    _require(want, "root" in have and parsed.product is not None, "has no root to be held against")
    findings, product = Findings(), parsed.product or "Milan"
    names = snp.names(product, parsed.signer)
    mine = tuple(one for one in roots if isinstance(one, TrustRoot) and one.product == product)
    root = certificates.load_authority(have["root"], "root certificate")
    amd_path.pinned(findings, root, mine)
    _settle(want, findings.failed())
    if "crl" in found:
        listed = amd_path.is_list_of(certificates.load_crl(found["crl"]), root)
        _require(want, listed, f"is no list of {names.root}")
    if "intermediate" in found:
        middle = certificates.load_authority(found["intermediate"], "intermediate certificate")
        _require(
            want,
            amd_path.common_name(middle) == names.intermediate
            and middle.issuer == root.subject
            and amd_path.signed_by(middle, root),
            f"has no {names.intermediate} that {names.root} signed",
        )
    if "vek" in found:
        _require(want, "intermediate" in have, "has no intermediate to be held against")
        path = Path(
            root=root,
            intermediate=certificates.load_authority(have["intermediate"], "intermediate certificate"),
            leaf=certificates.load(found["vek"], "VEK certificate"),
        )
        amd_path.check_path(findings, path, names, now)
        _settle(want, findings.failed())


def _intel(want: Want, body: bytes, whole: Evidence, roots: tuple[Root, ...], now: int) -> None:
    findings, loaded = Findings(), dict[bytes, Certificate]()
    chain = td_quote.parse(whole.parts["td_quote"]).pck_chain
    leaf, ca, root = pck.load_chain(chain, 3, "PCK certificate chain", loaded)
    given, intel = collateral.parse(body), gather.intel_roots(roots)
    said = collateral.check(findings, given, PckChain(leaf=leaf, ca=ca, root=root), intel, now, loaded)
    if said.tcb_info is not None:
        collateral.check_matches(findings, said.tcb_info, sgx_extension.read(leaf))
    _settle(want, findings.failed())


def _google(want: Want, body: bytes, whole: Evidence, roots: tuple[Root, ...], now: int) -> None:
    technology, measured = launched(whole.parts)
    google = tuple(root for root in roots if isinstance(root, GoogleRoot))
    try:
        said = launch_endorsement.verify(body, technology, google, now)
    except EvidenceRefusedError as error:
        _settle(want, error.checks)
    else:
        _require(want, measured in said.measurements, "is of other firmware than the evidence's")


def _list_issuer(want: Want, evidence: Evidence) -> Certificate | None:
    """Return the issuer of the certificate whose list is wanted: the next one that is there above it."""
    below = AK_ORDER.index("ak_certificate" if want.gives[0] == "ak_crl" else want.gives[0][: -len("_crl")])
    have = evidence.endorsements
    above = next((have[name] for name in AK_ORDER[below + 1 :] if name in have), None)
    return None if above is None else certificates.load(above, "authority's certificate")


def _settle(want: Want, failed: Iterable[Check]) -> None:
    for one in failed:
        if one.reason not in _TELLING:
            raise MalformedError(want.key, f"does not hold ({one.id}: want {one.expected}, is {one.actual})")


def _require(want: Want, holds: bool, detail: str) -> None:  # noqa: FBT001 - one sentence with its caller
    if not holds:
        raise MalformedError(want.key, detail)
