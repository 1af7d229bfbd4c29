"""QEMU with a software TPM: nobody vouches for its key but the fleet document that names it. Pure.

Grade T, under `purpose: test` only. What it proves is that the image's boot chain measures what it should.
"""

from __future__ import annotations

import hashlib

from runtime.attestation.binding import tpm_qualifying
from runtime.attestation.findings import Findings, Reason
from runtime.attestation.snp_claims import EndorsementRef
from runtime.attestation.tees.composites import gather
from runtime.attestation.tees.composites.claims import BootRegisters, MachineClaims, Root
from runtime.attestation.tees.tpm import attest, public, quote
from runtime.attestation.tees.tpm.public import PublicKey
from runtime.attestation.wire import Evidence
from runtime.documents import times

_WHAT = "attestation key of the software TPM"


def ak_name(area: bytes) -> bytes:
    """Return the TPM name of a TPM2B_PUBLIC: nameAlg and the hash of the public area (Part 1, section 16)."""
    algorithm = area[4:6]
    return algorithm + hashlib.sha256(area[2:]).digest()


def attestation_key(findings: Findings, area: bytes) -> PublicKey:
    """Return the key of a TPM2B_PUBLIC, and note whether it is one for attesting. Raises: MalformedError."""
    key = public.load_tpm2b(area, _WHAT)
    findings.require(
        key.is_attestation_key and key.name_algorithm == attest.SHA256,
        "ak.attributes",
        Reason.SIGNER,
        expected="a restricted signing key that cannot leave its TPM, named with SHA-256",
        actual=f"attributes {key.attributes:#010x}, nameAlg {key.name_algorithm:#06x}",
        source="the public area of the attestation key",
        remedy="create the key as an attestation key: fixedTPM, fixedParent, restricted, sign",
    )
    return key.key


class QemuTpm:
    """`qemu-tpm`."""

    def endorsements_needed(self, evidence: Evidence) -> tuple[EndorsementRef, ...]:
        """Name nothing: nobody endorses a software TPM."""
        return ()

    def verify(self, evidence: Evidence, binder: bytes, roots: tuple[Root, ...], now: int) -> MachineClaims:
        """Return what the software TPM said. Raises: EvidenceRefusedError, MalformedError."""
        findings = Findings()
        area = evidence.parts["ak_public"]
        gather.needed(findings, gather.read(findings, "ak", lambda: public.load_tpm2b(area, _WHAT)))
        key = attestation_key(findings, area)
        parts, demand = gather.quote_evidence(evidence.parts), gather.quote_demand(tpm_qualifying(binder))
        claims = gather.needed(
            findings, gather.read(findings, "vtpm", lambda: quote.check(findings, parts, demand, key))
        )
        registers = BootRegisters(bank="sha256", values=claims.pcrs, source="a software TPM")
        log_checked = gather.explained(findings, evidence, registers)
        findings.settle()
        return MachineClaims(
            format=evidence.format,
            unbound=(),  # the quote was held against the binder above
            snp=None,
            tdx=None,
            paravisor=None,
            nitro=None,
            instance=None,
            ak=None,
            ak_name=ak_name(area),
            launch=None,
            registers=registers,
            log_checked=log_checked,
            roots=(),
            endorsed_until=times.LATEST,  # a key in a document ends with the document
            newest_endorsement=0,
        )
