"""Compute Engine: the CPU's report or quote, and the vTPM of Google's hypervisor. Pure.

    AMD   ─ SNP report ─ REPORT_DATA = binder ─┐ SHA-256
    Intel ─ TD quote ─── REPORT_DATA = binder ─┴─▶ quote of the vTPM ─ key ─ certificate of the instance

On SNP the image is what the vTPM's registers say: Google's word, grade V. On TDX it is what RTMR1 and RTMR2
say, which the CPU's module extends: grade H; the vTPM says which instance this is, at V, and both are
reported apart. The vTPM's quote commits to the report, which is made first (decision 0004).
"""

from __future__ import annotations

from collections.abc import Sequence

from runtime.attestation.binding import tied_qualifying
from runtime.attestation.eventlog import ccel
from runtime.attestation.findings import Findings
from runtime.attestation.snp_claims import EndorsementRef
from runtime.attestation.tees.composites import gather
from runtime.attestation.tees.composites.claims import AkClaims, BootRegisters, MachineClaims, Root
from runtime.attestation.tees.snp import SnpTee
from runtime.attestation.tees.tdx import quote as td_quote
from runtime.attestation.tees.tdx import verify as tdx
from runtime.attestation.tees.tdx.verify import TdxClaims
from runtime.attestation.tees.tpm import gce
from runtime.attestation.tees.tpm.gce import GceTpmClaims
from runtime.attestation.wire import Evidence

_SOURCE = "Google's hypervisor (vTPM)"


class GcpSnp:
    """`gcp-snp`."""

    def endorsements_needed(self, evidence: Evidence) -> tuple[EndorsementRef, ...]:
        """Name what AMD has and did not come along. Raises: MalformedError."""
        return SnpTee().endorsements_needed(evidence)

    def verify(self, evidence: Evidence, binder: bytes, roots: tuple[Root, ...], now: int) -> MachineClaims:
        """Return what chip, vTPM and Google said. Raises: EvidenceRefusedError, MalformedError."""
        findings = Findings()
        report = evidence.parts["snp_report"]
        # 1. A genuine chip signed the report; Google may vouch for the firmware.
        snp = gather.snp(findings, report, evidence, roots, now)
        launch = gather.launch(findings, evidence, "snp", roots, now)
        # 2. The vTPM of an instance that Google names quoted its registers for this very report.
        vtpm, ak = _vtpm(findings, evidence, tied_qualifying(binder, report), roots, now)
        log_checked = False if vtpm is None else gather.explained(findings, evidence, _registers(vtpm))
        snp, vtpm, ak = gather.held(findings, snp), gather.held(findings, vtpm), gather.held(findings, ak)
        return MachineClaims(
            format=evidence.format,
            unbound=gather.report_binding(snp.report_data, binder),
            snp=snp,
            tdx=None,
            paravisor=None,
            nitro=None,
            instance=vtpm.instance,
            ak=ak,
            ak_name=None,
            launch=launch,
            registers=_registers(vtpm),
            log_checked=log_checked,
            roots=(snp.root, ak.root, *(() if launch is None else (launch.root,))),
            endorsed_until=min(part.endorsed_until for part in (snp, ak, launch) if part is not None),
            newest_endorsement=max(part.newest_endorsement for part in (snp, ak, launch) if part is not None),
        )


class GcpTdx:
    """`gcp-tdx`."""

    def endorsements_needed(self, evidence: Evidence) -> tuple[EndorsementRef, ...]:
        """Name nothing that AMD has."""
        return ()

    def verify(self, evidence: Evidence, binder: bytes, roots: tuple[Root, ...], now: int) -> MachineClaims:
        """Return what platform, vTPM and Google said. Raises: EvidenceRefusedError, MalformedError."""
        findings = Findings()
        data, collateral = evidence.parts["td_quote"], evidence.endorsements.get("tdx_collateral")
        # 1. A genuine platform signed the quote, and the log leads to its registers.
        quoted, pins = gather.read(findings, "tdx", lambda: td_quote.parse(data)), gather.intel_roots(roots)
        claims: TdxClaims | None = None
        if quoted is not None:
            claims = gather.attempt(findings, lambda: tdx.verify(data, collateral, pins, now), part="tdx")
            _log(findings, evidence.parts["ccel"], quoted.report.rtmrs)
        launch = gather.launch(findings, evidence, "tdx", roots, now)
        # 2. The vTPM of an instance that Google names quoted for this very TD quote.
        vtpm, ak = _vtpm(findings, evidence, tied_qualifying(binder, data), roots, now)
        td, vtpm, ak = gather.held(findings, claims), gather.held(findings, vtpm), gather.held(findings, ak)
        return MachineClaims(
            format=evidence.format,
            unbound=gather.report_binding(td.report.report_data, binder),
            snp=None,
            tdx=td,
            paravisor=None,
            nitro=None,
            instance=vtpm.instance,
            ak=ak,
            ak_name=None,
            launch=launch,
            registers=None,  # the vTPM's are its hypervisor's word; the image is in the RTMRs
            log_checked=True,
            roots=(td.root, ak.root, *(() if launch is None else (launch.root,))),
            endorsed_until=min(part.endorsed_until for part in (td, ak, launch) if part is not None),
            newest_endorsement=max(part.newest_endorsement for part in (td, ak, launch) if part is not None),
        )


def _log(findings: Findings, log: bytes, rtmrs: Sequence[bytes]) -> None:
    gather.attempt(findings, lambda: ccel.verify(log, rtmrs), part="log")


def _vtpm(
    findings: Findings, evidence: Evidence, qualifying_data: bytes, roots: tuple[Root, ...], now: int
) -> tuple[GceTpmClaims | None, AkClaims | None]:
    certificates = gather.ak_certificates(evidence)
    if not certificates:
        gather.missing_ak(findings)
        return None, None
    demand, quote = gather.quote_demand(qualifying_data), gather.quote_evidence(evidence.parts)
    pins = gather.ak_roots(roots)
    vtpm = gather.attempt(
        findings, lambda: gce.verify_gce(quote, demand, certificates, pins, now), part="vtpm"
    )
    if vtpm is None:
        return None, None
    path = vtpm.ak
    return vtpm, gather.read(
        findings, "ak", lambda: gather.ak_claims(findings, evidence, path, certificates, now)
    )


def _registers(vtpm: GceTpmClaims) -> BootRegisters:
    return BootRegisters(bank="sha256", values=vtpm.tpm.pcrs, source=_SOURCE)
