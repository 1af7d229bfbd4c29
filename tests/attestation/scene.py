"""One peer, one owner, one appraisal: what is right about it, and what a test changes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256, sha512
from typing import Any

from runtime.attestation import verifier, wire
from runtime.attestation.findings import EvidenceRefusedError
from runtime.attestation.result import AttestationResult
from runtime.attestation.snp_claims import TrustRoot
from runtime.attestation.verifier import AppraisalRequest
from runtime.documents.fleet import Role
from tests.fakes import fleets
from tests.fakes.amd import Chip, FakeAmd
from tests.fakes.fleets import MEASUREMENT, NOW, FleetMember

SETTINGS = sha256(b"settings of client-1").digest()
BINDER = sha512(b"binder").digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A client that everything is right about; `accept` and `refuse` say what becomes of a change to it."""

    amd: FakeAmd
    chip: Chip
    role: Role = "client"
    fields: Mapping[str, Any] = field(default_factory=dict)  # of the report
    endorsements: Mapping[str, bytes | None] = field(default_factory=dict)  # None removes one
    snp: Mapping[str, Any] = field(default_factory=dict)  # Reference Values
    document: Mapping[str, Any] = field(default_factory=dict)  # keys of the fleet document
    member: Mapping[str, Any] = field(default_factory=dict)
    roots: tuple[TrustRoot, ...] | None = None
    binder: bytes = BINDER
    settings_digest: bytes = SETTINGS
    now: int = NOW

    def evidence(self) -> wire.Evidence:
        right: dict[str, Any] = {"report_data": BINDER, "measurement": MEASUREMENT, "host_data": SETTINGS}
        made = self.chip.evidence(**(right | dict(self.fields)))
        merged = dict(made.endorsements) | dict(self.endorsements)
        kept = {name: value for name, value in merged.items() if value is not None}
        return wire.Evidence(format="sev-snp", parts=made.parts, endorsements=kept)

    def payload(self) -> bytes:
        about: dict[str, Any] = {
            "name": "client-1",
            "role": "client",
            "settings_digest": SETTINGS,
            "chip_id": self.chip.chip_id if any(self.chip.chip_id) else b"\x77" * 64,
            "hostnames": ("app.test",),
        }
        return fleets.fleet_payload(
            [FleetMember(**(about | dict(self.member)))], snp=dict(self.snp), **dict(self.document)
        )

    def request(self, evidence: bytes | None = None) -> AppraisalRequest:
        return AppraisalRequest(
            evidence=wire.encode(self.evidence()) if evidence is None else evidence,
            binder=self.binder,
            settings_digest=self.settings_digest,
            role=self.role,
            document=self.payload(),
            roots=self.amd.roots() if self.roots is None else self.roots,
            now=self.now,
        )

    def accept(self) -> AttestationResult:
        return verifier.appraise(self.request())

    def refuse(self) -> set[str]:
        """Return the ids of the failed checks; fails if nothing refuses."""
        try:
            verifier.appraise(self.request())
        except EvidenceRefusedError as error:
            assert len({check.id for check in error.checks}) == len(error.checks)
            return {check.id for check in error.checks}
        message = "accepted"
        raise AssertionError(message)
