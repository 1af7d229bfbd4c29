"""The formats of evidence that can be verified, each by one composite. Pure.

One more is one file in `composites`, its row in `formats`, and one line here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from runtime.attestation.snp_claims import EndorsementRef
from runtime.attestation.tees.composites.aws import AwsNitroTpm, AwsSnpNitroTpm
from runtime.attestation.tees.composites.azure import AzureSnp, AzureTdx
from runtime.attestation.tees.composites.claims import MachineClaims, Root
from runtime.attestation.tees.composites.gcp import GcpSnp, GcpTdx
from runtime.attestation.tees.composites.qemu import QemuTpm
from runtime.attestation.tees.composites.sev_snp import SevSnp
from runtime.attestation.wire import Evidence


class Tee(Protocol):
    """How evidence of one format becomes claims. Endorsements travel inside the Evidence."""

    def endorsements_needed(self, evidence: Evidence) -> tuple[EndorsementRef, ...]:
        """Name what is missing and can be fetched from AMD. Raises: MalformedError."""
        ...

    def verify(self, evidence: Evidence, binder: bytes, roots: tuple[Root, ...], now: int) -> MachineClaims:
        """Return what the machine's parts said together. Raises: EvidenceRefusedError, MalformedError."""
        ...


TEES: Mapping[str, Tee] = MappingProxyType(  # by Evidence.format
    {
        "sev-snp": SevSnp(),
        "aws-snp-nitrotpm": AwsSnpNitroTpm(),
        "azure-snp": AzureSnp(),
        "azure-tdx": AzureTdx(),
        "gcp-snp": GcpSnp(),
        "gcp-tdx": GcpTdx(),
        "qemu-tpm": QemuTpm(),
        "aws-nitrotpm": AwsNitroTpm(),
    }
)

__all__ = ["TEES", "MachineClaims", "Root", "Tee"]
