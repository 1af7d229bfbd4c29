"""Azure on Intel: the TD quote, the paravisor's runtime data, its TPM's quote, as one statement. Pure.

AzureTdxClaims are made here alone. The HCL report holds a TDREPORT, whose MAC only its own machine can check:
it is believed in nothing. Azure's quoting service turned it into the quote, and it is the quote that Intel's
chain vouches for, that has to cover the runtime data, and whose registers policy reads.
"""

from __future__ import annotations

from dataclasses import dataclass

from runtime.attestation.model import EvidenceRefusedError, Findings, Reason
from runtime.attestation.tees.azure import hcl, overlay
from runtime.attestation.tees.azure.hcl import HclReport
from runtime.attestation.tees.azure.overlay import AzureDemand, ParavisorClaims
from runtime.attestation.tees.tdx import quote as td_quote
from runtime.attestation.tees.tdx import verify as tdx
from runtime.attestation.tees.tdx.pck import IntelRoot
from runtime.attestation.tees.tdx.quote import TdReport
from runtime.attestation.tees.tdx.verify import TdxClaims
from runtime.attestation.tees.tpm.ak import AkRoot
from runtime.attestation.tees.tpm.quote import QuoteEvidence
from runtime.errors import MalformedError


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureTdxEvidence:
    """What an Attester hands over: believe nothing."""

    hcl_report: bytes
    td_quote: bytes
    collateral: bytes | None  # of the TD quote, as `tees.tdx` takes it; it refuses where there is none
    quote: QuoteEvidence
    ak_certificates: tuple[bytes, ...]  # leaf first, root last; empty where none came along


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureTdxClaims:
    """What the platform signed about the paravisor, and what the paravisor says about the machine."""

    tdx: TdxClaims
    paravisor: ParavisorClaims


def verify(
    evidence: AzureTdxEvidence,
    demand: AzureDemand,
    roots: tuple[IntelRoot, ...],
    ak_roots: tuple[AkRoot, ...],
    now: int,
) -> AzureTdxClaims:
    """Return what hardware and paravisor said. Raises: EvidenceRefusedError, MalformedError."""
    findings = Findings()
    # 1. The report is one, with TDX inside, and the quote is a quote.
    report = hcl.parse(evidence.hcl_report)
    quoted = td_quote.parse(evidence.td_quote).report
    # 2. A genuine platform signed the quote.
    claims = _hardware(report, quoted, evidence, roots, now)
    # 3. It was made of this report, and covers the runtime data, which is not read otherwise, ...
    check_td_report(findings, report, quoted)
    runtime = overlay.read_runtime(findings, report, quoted.report_data)
    # 4. ... whose attestation key Microsoft's certificates name too, if they came along, ...
    path = overlay.check_ak(findings, runtime, evidence.ak_certificates, ak_roots, now)
    # 5. ... and which signed a quote about what it should be.
    paravisor = overlay.check(findings, report, runtime, demand, evidence.quote, path)
    findings.settle()
    return AzureTdxClaims(tdx=claims, paravisor=paravisor)


def check_td_report(findings: Findings, report: HclReport, quoted: TdReport) -> None:
    """Note whether the quote speaks of the TD that the report speaks of.

    Raises: MalformedError if the report is not of a TD.
    """
    if report.kind != "tdx":
        raise MalformedError("HCL report", f"holds a report of {report.kind}, want tdx")
    findings.require(
        quoted.mrtd == report.measurement and quoted.report_data == report.report_data,
        "hcl.td_report",
        Reason.BINDING,
        expected=f"the quote of a TD with MRTD {report.measurement.hex()[:32]}…",
        actual=f"MRTD {quoted.mrtd.hex()[:32]}…",
        source="the TD quote, beside the TDREPORT in the HCL report",
        remedy="have the TDREPORT of this very HCL report quoted",
    )


def _hardware(
    report: HclReport,
    quoted: TdReport,
    evidence: AzureTdxEvidence,
    roots: tuple[IntelRoot, ...],
    now: int,
) -> TdxClaims:
    """Return what the platform said; a refusal names a broken binding beside the platform's own checks."""
    try:
        return tdx.verify(evidence.td_quote, evidence.collateral, roots, now)
    except EvidenceRefusedError as error:
        findings = Findings(list(error.checks))
        check_td_report(findings, report, quoted)
        overlay.check_runtime(findings, report, quoted.report_data)
        raise EvidenceRefusedError(findings.failed()) from error
