"""The kinds of TEE that can be verified: what signs, not where it runs. Pure.

One more is one folder and one line here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from runtime.attestation.model import Claims, EndorsementRef, Evidence, TrustRoot
from runtime.attestation.tees.snp import SnpTee


class Tee(Protocol):
    """How evidence of one format becomes Claims. Endorsements travel inside the Evidence."""

    def endorsements_needed(self, evidence: Evidence) -> tuple[EndorsementRef, ...]:
        """Name what is missing and can be fetched. Raises: MalformedError."""
        ...

    def verify(self, evidence: Evidence, roots: tuple[TrustRoot, ...], now: int) -> Claims:
        """Return what the hardware said. Raises: EvidenceRefusedError, MalformedError."""
        ...


TEES: Mapping[str, Tee] = MappingProxyType({"sev-snp": SnpTee()})  # by Evidence.format
