"""A Compute Engine vTPM: the quote, and Google's word for whose it is. Pure.

Grade V at best: Google's hypervisor runs this TPM, and can say with it what it wants. It is worth something
beside evidence of the CPU that commits to the same binder. GceTpmClaims are made here alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runtime.attestation.findings import EvidenceRefusedError, Findings
from runtime.attestation.tees.tpm import ak, instance, quote
from runtime.attestation.tees.tpm.ak import AkPath, AkRoot
from runtime.attestation.tees.tpm.instance import GceInstance
from runtime.attestation.tees.tpm.quote import QuoteDemand, QuoteEvidence, TpmClaims


@dataclass(frozen=True, slots=True, kw_only=True)
class GceTpmClaims:
    """What the vTPM signed, which instance Google says it belongs to, and under which root."""

    tpm: TpmClaims
    instance: GceInstance
    ak: AkPath


def verify_gce(
    evidence: QuoteEvidence,
    demand: QuoteDemand,
    certificates: Sequence[bytes],
    roots: tuple[AkRoot, ...],
    now: int,
) -> GceTpmClaims:
    """Return what the quote says and about which instance; certificates leaf first, root last.

    Raises: EvidenceRefusedError, MalformedError.
    """
    findings = Findings()
    # 1. Google vouches for the key, now, as one of an instance's TPM.
    path, named = vouched(findings, certificates, roots, now)
    # 2. The key signed the quote, which is about what it should be.
    claims = quote.check(findings, evidence, demand, path.key)
    findings.settle()
    return GceTpmClaims(tpm=claims, instance=named, ak=path)


def vouched(
    findings: Findings, certificates: Sequence[bytes], roots: tuple[AkRoot, ...], now: int
) -> tuple[AkPath, GceInstance]:
    """Note whether Google vouches for the key, as that of an instance's TPM; leaf first, root last.

    Raises: EvidenceRefusedError where there is no pinned root, MalformedError.
    """
    path = ak.check_path(findings, certificates, "google", roots, now)
    if path is None:
        raise EvidenceRefusedError(findings.failed())  # ak.root is among them
    named = instance.read(path.leaf)
    instance.check(findings, path.leaf, named)
    return path, named
