"""Azure: the hardware's report on Microsoft's paravisor, and the paravisor's TPM in the TEE. Pure.

    AMD or Intel ─ report ─ REPORT_DATA = SHA-256(runtime JSON) ─ user-data = binder, attestation key
                                                                       └─ signs ─ quote over SHA-256(binder)

Grade P. The report covers the attestation key, so the quote's own signature ties it to the report: a quote of
another machine is signed by a key that this report does not name.
"""

from __future__ import annotations

from runtime.attestation.binding import tpm_qualifying
from runtime.attestation.findings import Findings
from runtime.attestation.snp_claims import Claims, EndorsementRef
from runtime.attestation.tees.azure import hcl, overlay
from runtime.attestation.tees.azure.hcl import HclReport
from runtime.attestation.tees.azure.overlay import AzureDemand, ParavisorClaims
from runtime.attestation.tees.azure.runtime_data import RuntimeData
from runtime.attestation.tees.composites import gather
from runtime.attestation.tees.composites.claims import AkClaims, BootRegisters, MachineClaims, Root
from runtime.attestation.tees.snp import SnpTee
from runtime.attestation.tees.tdx import quote as td_quote
from runtime.attestation.tees.tdx import verify as tdx
from runtime.attestation.tees.tdx.verify import TdxClaims
from runtime.attestation.tees.tpm.ak import AkPath
from runtime.attestation.wire import Evidence
from runtime.errors import MalformedError

_SOURCE = "Microsoft's paravisor (vTPM inside the TEE)"


class AzureSnp:
    """`azure-snp`."""

    def endorsements_needed(self, evidence: Evidence) -> tuple[EndorsementRef, ...]:
        """Name what AMD has and did not come along. Raises: MalformedError."""
        report = hcl.parse(evidence.parts["hcl_report"]).tee_report
        inner = Evidence(format="sev-snp", parts={"snp_report": report}, endorsements=evidence.endorsements)
        return SnpTee().endorsements_needed(inner)

    def verify(self, evidence: Evidence, binder: bytes, roots: tuple[Root, ...], now: int) -> MachineClaims:
        """Return what chip and paravisor said. Raises: EvidenceRefusedError, MalformedError."""
        findings = Findings()
        # 1. A genuine chip signed the report inside, ...
        report = gather.needed(findings, _report(findings, evidence, "snp"))
        snp = gather.snp(findings, report.tee_report, evidence, roots, now)
        # 2. ... which covers the runtime data, and that the attestation key.
        paravisor, ak = _paravisor(findings, evidence, report, report.report_data, binder, roots, now)
        return _claims(evidence, gather.held(findings, snp), None, paravisor, ak, findings)


class AzureTdx:
    """`azure-tdx`."""

    def endorsements_needed(self, evidence: Evidence) -> tuple[EndorsementRef, ...]:
        """Name nothing that AMD has."""
        return ()

    def verify(self, evidence: Evidence, binder: bytes, roots: tuple[Root, ...], now: int) -> MachineClaims:
        """Return what platform and paravisor said. Raises: EvidenceRefusedError, MalformedError."""
        findings = Findings()
        # 1. A genuine platform signed the quote, which was made of the report inside, ...
        inner, data = _report(findings, evidence, "tdx"), evidence.parts["td_quote"]
        outer = gather.read(findings, "tdx", lambda: td_quote.parse(data))
        collateral, pins = evidence.endorsements.get("tdx_collateral"), gather.intel_roots(roots)
        claims: TdxClaims | None = None
        if outer is not None:
            claims = gather.attempt(findings, lambda: tdx.verify(data, collateral, pins, now), part="tdx")
        report, quoted = gather.needed(findings, inner), gather.needed(findings, outer).report
        gather.read(findings, "hcl", lambda: overlay.check_td_report(findings, report, quoted))
        # 2. ... and covers the runtime data, and that the attestation key.
        paravisor, ak = _paravisor(findings, evidence, report, quoted.report_data, binder, roots, now)
        return _claims(evidence, None, gather.held(findings, claims), paravisor, ak, findings)


def _report(findings: Findings, evidence: Evidence, kind: hcl.Kind) -> HclReport | None:
    def parse() -> HclReport:
        report = hcl.parse(evidence.parts["hcl_report"])
        if report.kind != kind:
            raise MalformedError("HCL report", f"holds a report of {report.kind}, want {kind}")
        return report

    return gather.read(findings, "hcl", parse)


def _paravisor(
    findings: Findings,
    evidence: Evidence,
    report: HclReport,
    report_data: bytes,
    binder: bytes,
    roots: tuple[Root, ...],
    now: int,
) -> tuple[ParavisorClaims, AkClaims | None]:
    """Note all that hangs on the report."""
    runtime, path, ak = vouched(findings, evidence, report, report_data, roots, now)
    demand = AzureDemand(user_data=binder, quote=gather.quote_demand(tpm_qualifying(binder)))
    quote = gather.quote_evidence(evidence.parts)
    claims = gather.read(
        findings, "vtpm", lambda: overlay.check(findings, report, runtime, demand, quote, path)
    )
    return gather.needed(findings, claims), ak


def vouched(
    findings: Findings,
    evidence: Evidence,
    report: HclReport,
    report_data: bytes,
    roots: tuple[Root, ...],
    now: int,
) -> tuple[RuntimeData, AkPath | None, AkClaims | None]:
    """Note who vouches for the attestation key; the runtime data is not read before the hardware covers it.

    `report_data`: 64, that the hardware signed. Raises: EvidenceRefusedError with all that failed up to the
    runtime data.
    """
    runtime = gather.needed(
        findings, gather.read(findings, "hcl", lambda: overlay.read_runtime(findings, report, report_data))
    )
    certificates, pins = gather.ak_certificates(evidence), gather.ak_roots(roots)
    path = gather.read(findings, "ak", lambda: overlay.check_ak(findings, runtime, certificates, pins, now))
    ak: AkClaims | None = None
    if path is not None:
        ak = gather.read(
            findings, "ak", lambda: gather.ak_claims(findings, evidence, path, certificates, now)
        )
    return runtime, path, ak


def _claims(
    evidence: Evidence,
    snp: Claims | None,
    td: TdxClaims | None,
    paravisor: ParavisorClaims,
    ak: AkClaims | None,
    findings: Findings,
) -> MachineClaims:
    registers = BootRegisters(bank="sha256", values=paravisor.tpm.pcrs, source=_SOURCE)
    log_checked = gather.explained(findings, evidence, registers)
    findings.settle()
    parts = [part for part in (snp, td, ak) if part is not None]
    return MachineClaims(
        format=evidence.format,
        unbound=(),  # the paravisor's user data and quote were held against the binder above
        snp=snp,
        tdx=td,
        paravisor=paravisor,
        nitro=None,
        instance=None,
        ak=ak,
        ak_name=None,
        launch=None,
        registers=registers,
        log_checked=log_checked,
        roots=tuple(part.root for part in parts),
        endorsed_until=min(part.endorsed_until for part in parts),
        newest_endorsement=max(part.newest_endorsement for part in parts),
    )
