"""What the owner accepts, and on whose word: the end of an appraisal, as types. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from runtime.documents.fleet import Grade, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One claim that was accepted, and who measured or vouches for it."""

    claim: str
    value: str
    measured_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedWaiver:
    """A named exception of the owner's that let a failed check pass."""

    name: str
    check: str
    reason: str
    not_after: int  # Unix seconds
    actual: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationResult:
    """The owner's law accepts this peer: who it is, and on whose word. Made by `policy` alone."""

    member: str
    role: Role
    format: str  # of the evidence
    grade: Grade  # who measured the image
    instance_grade: Grade  # who says which machine this is; on Google's TDX another one
    purpose: Literal["production", "test"]
    image: str | None  # None only under a waiver of image.measured
    instance: str
    statements: tuple[Statement, ...]
    not_proven: tuple[str, ...]
    waivers: tuple[AppliedWaiver, ...]
    warnings: tuple[str, ...]
    evidence_sha256: bytes  # 32
    document_sha256: bytes  # 32
    document_version: int
    appraised_at: int  # Unix seconds
    endorsed_until: int  # Unix seconds; attest again before
    newest_endorsement: int  # Unix seconds; no clock of ours may be behind it
