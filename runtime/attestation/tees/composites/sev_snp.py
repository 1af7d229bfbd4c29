"""An SNP report and nothing else: what a simulated TEE shows. Pure.

The report has no register that the VM itself extends, so that nothing but the host's HOST_DATA speaks of its
settings: grade T, under `purpose: test` only, whatever root it chains to.
"""

from __future__ import annotations

from runtime.attestation.findings import Findings
from runtime.attestation.snp_claims import EndorsementRef
from runtime.attestation.tees.composites import gather
from runtime.attestation.tees.composites.claims import MachineClaims, Root
from runtime.attestation.tees.snp import SnpTee
from runtime.attestation.wire import Evidence


class SevSnp:
    """`sev-snp`."""

    def endorsements_needed(self, evidence: Evidence) -> tuple[EndorsementRef, ...]:
        """Name what AMD has and did not come along. Raises: MalformedError."""
        return SnpTee().endorsements_needed(evidence)

    def verify(self, evidence: Evidence, binder: bytes, roots: tuple[Root, ...], now: int) -> MachineClaims:
        """Return what the chip said. Raises: EvidenceRefusedError, MalformedError."""
        findings = Findings()
        snp = gather.held(findings, gather.snp(findings, evidence.parts["snp_report"], evidence, roots, now))
        return MachineClaims(
            format=evidence.format,
            unbound=gather.report_binding(snp.report_data, binder),
            snp=snp,
            tdx=None,
            paravisor=None,
            nitro=None,
            instance=None,
            ak=None,
            ak_name=None,
            launch=None,
            registers=None,
            log_checked=False,
            roots=(snp.root,),
            endorsed_until=snp.endorsed_until,
            newest_endorsement=snp.newest_endorsement,
        )
