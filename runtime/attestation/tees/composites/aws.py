"""EC2: the CPU's report and the document of the hypervisor's NitroTPM, or that document alone. Pure.

    AMD ─ SNP report ─ REPORT_DATA = binder            the memory is encrypted, AWS' firmware was launched
                  └──── SHA-256 ────┐
    AWS ─ NitroTPM document ─ nonce = tied, user_data = binder       which image and settings were booted

Grade V: the document is AWS' word about the image, made outside of what the CPU protects; alone, grade N.
The nonce names the report, so that the document of another machine does not pass beside it (decision 0004).
"""

from __future__ import annotations

from runtime.attestation.binding import tied_qualifying
from runtime.attestation.findings import Check, Findings, Reason
from runtime.attestation.snp_claims import EndorsementRef
from runtime.attestation.tees.composites import gather
from runtime.attestation.tees.composites.claims import BootRegisters, MachineClaims, Root
from runtime.attestation.tees.nitro import verify as nitro
from runtime.attestation.tees.nitro.verify import NitroClaims
from runtime.attestation.tees.snp import SnpTee
from runtime.attestation.wire import Evidence

_DOCUMENT = "the Nitro hypervisor's signed document"
_PREFIX = "nitro."


class AwsSnpNitroTpm:
    """`aws-snp-nitrotpm`."""

    def endorsements_needed(self, evidence: Evidence) -> tuple[EndorsementRef, ...]:
        """Name what AMD has and did not come along. Raises: MalformedError."""
        return SnpTee().endorsements_needed(evidence)

    def verify(self, evidence: Evidence, binder: bytes, roots: tuple[Root, ...], now: int) -> MachineClaims:
        """Return what chip and hypervisor said. Raises: EvidenceRefusedError, MalformedError."""
        findings = Findings()
        report = evidence.parts["snp_report"]
        # 1. A genuine chip signed the report, and AWS' hypervisor the document.
        snp = gather.snp(findings, report, evidence, roots, now)
        said = _document(findings, evidence, roots, now)
        # 2. The document speaks of that very report, ...
        log_checked = False
        if said is not None:
            _check_nonce(findings, said, tied_qualifying(binder, report))
            log_checked = gather.explained(findings, evidence, _registers(said))
        snp, said = gather.held(findings, snp), gather.held(findings, said)
        # 3. ... and both carry the binder, which policy looks at.
        return MachineClaims(
            format=evidence.format,
            unbound=(*gather.report_binding(snp.report_data, binder), *_unbound(said, binder)),
            snp=snp,
            tdx=None,
            paravisor=None,
            nitro=said,
            instance=None,
            ak=None,
            ak_name=None,
            launch=None,
            registers=_registers(said),
            log_checked=log_checked,
            roots=(snp.root, said.root),
            endorsed_until=min(snp.endorsed_until, said.endorsed_until),
            newest_endorsement=max(snp.newest_endorsement, said.newest_endorsement),
        )


class AwsNitroTpm:
    """`aws-nitrotpm`."""

    def endorsements_needed(self, evidence: Evidence) -> tuple[EndorsementRef, ...]:
        """Name nothing: the document carries its certificates."""
        return ()

    def verify(self, evidence: Evidence, binder: bytes, roots: tuple[Root, ...], now: int) -> MachineClaims:
        """Return what the hypervisor said. Raises: EvidenceRefusedError, MalformedError."""
        findings = Findings()
        said = gather.held(findings, _document(findings, evidence, roots, now))
        # A document that was made to stand beside a report is not one that stands alone.
        _check_nonce(findings, said, None)
        log_checked = gather.explained(findings, evidence, _registers(said))
        findings.settle()
        return MachineClaims(
            format=evidence.format,
            unbound=_unbound(said, binder),
            snp=None,
            tdx=None,
            paravisor=None,
            nitro=said,
            instance=None,
            ak=None,
            ak_name=None,
            launch=None,
            registers=_registers(said),
            log_checked=log_checked,
            roots=(said.root,),
            endorsed_until=said.endorsed_until,
            newest_endorsement=said.newest_endorsement,
        )


def _document(
    findings: Findings, evidence: Evidence, roots: tuple[Root, ...], now: int
) -> NitroClaims | None:
    data, pins = evidence.parts["nitrotpm_document"], gather.nitro_roots(roots)
    return gather.attempt(
        findings,
        lambda: nitro.authenticate(data, kind="nitrotpm", roots=pins, now=now),
        _PREFIX,
        part="nitro",
    )


def _check_nonce(findings: Findings, said: NitroClaims, wanted: bytes | None) -> None:
    findings.require(
        said.nonce == wanted,
        "nitro.document.nonce",
        Reason.BINDING,
        expected="none" if wanted is None else wanted.hex(),
        actual="none" if said.nonce is None else said.nonce.hex()[:64],
        source=_DOCUMENT,
        remedy="make the SNP report first and have the document's nonce commit to it",
    )
    findings.require(
        said.public_key is None,
        "nitro.document.public_key",
        Reason.BINDING,
        expected="none",
        actual="a key",
        source=_DOCUMENT,
        remedy="the document was made for another purpose: ask the instance for a new one",
    )


def _unbound(said: NitroClaims, binder: bytes) -> tuple[Check, ...]:
    findings = Findings()
    gather.bound(findings, "binding.nitro_user_data", said.user_data or b"", binder, _DOCUMENT)
    return findings.failed()


def _registers(said: NitroClaims) -> BootRegisters:
    return BootRegisters(bank="sha384", values=said.pcrs, source="AWS' hypervisor (NitroTPM)")
