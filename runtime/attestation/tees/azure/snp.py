"""Azure on AMD: the SNP report of the paravisor, its runtime data, its TPM's quote, as one statement. Pure.

AzureSnpClaims are made here alone. Every part has to hold. A refusal names every failed check of hardware and
binding, or, where those hold, of all that hangs on them. The TCB, VMPL and measurement of the inner report
are policy's, as for any SNP report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runtime.attestation.model import Claims, Evidence, EvidenceRefusedError, Findings, TrustRoot
from runtime.attestation.tees.azure import hcl, overlay
from runtime.attestation.tees.azure.hcl import HclReport
from runtime.attestation.tees.azure.overlay import AzureDemand, ParavisorClaims
from runtime.attestation.tees.snp import SnpTee
from runtime.attestation.tees.tpm.ak import AkRoot
from runtime.attestation.tees.tpm.quote import QuoteEvidence
from runtime.errors import MalformedError


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureSnpEvidence:
    """What an Attester hands over: believe nothing."""

    hcl_report: bytes
    endorsements: Mapping[str, bytes]  # of the SNP report, by the names `tees.snp` knows
    quote: QuoteEvidence
    ak_certificates: tuple[bytes, ...]  # leaf first, root last; empty where none came along


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureSnpClaims:
    """What the chip signed about the paravisor, and what the paravisor says about the machine."""

    snp: Claims
    paravisor: ParavisorClaims


def verify(
    evidence: AzureSnpEvidence,
    demand: AzureDemand,
    roots: tuple[TrustRoot, ...],
    ak_roots: tuple[AkRoot, ...],
    now: int,
) -> AzureSnpClaims:
    """Return what hardware and paravisor said. Raises: EvidenceRefusedError, MalformedError."""
    findings = Findings()
    # 1. The report is one, with SNP inside.
    report = hcl.parse(evidence.hcl_report)
    if report.kind != "snp":
        raise MalformedError("HCL report", f"holds a report of {report.kind}, want snp")
    # 2. A genuine chip signed it.
    snp = _hardware(report, evidence, roots, now)
    # 3. It covers the runtime data, which is not read otherwise, ...
    runtime = overlay.read_runtime(findings, report, report.report_data)
    # 4. ... whose attestation key Microsoft's certificates name too, if they came along, ...
    path = overlay.check_ak(findings, runtime, evidence.ak_certificates, ak_roots, now)
    # 5. ... and which signed a quote about what it should be.
    paravisor = overlay.check(findings, report, runtime, demand, evidence.quote, path)
    findings.settle()
    return AzureSnpClaims(snp=snp, paravisor=paravisor)


def _hardware(
    report: HclReport, evidence: AzureSnpEvidence, roots: tuple[TrustRoot, ...], now: int
) -> Claims:
    """Return what the chip said; a refusal names the broken binding beside the chip's own checks."""
    inner = Evidence(
        format="sev-snp", parts={"snp_report": report.tee_report}, endorsements=evidence.endorsements
    )
    try:
        return SnpTee().verify(inner, roots, now)
    except EvidenceRefusedError as error:
        findings = Findings(list(error.checks))
        overlay.check_runtime(findings, report, report.report_data)
        raise EvidenceRefusedError(findings.failed()) from error
