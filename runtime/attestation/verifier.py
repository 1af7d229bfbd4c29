"""From the bytes a peer sent to an Attestation Result, cheapest questions first. Pure.

    1 read the fleet document (once per document)
    2 is the document in force, does it know these settings, is the role right?
    3 read the evidence; does the document accept its kind?
    4 is it true, all parts of it together? (`tees`: signatures, chains, ties)
    5 is it what the owner wants? (`policy`)

Each step lists all of its failed checks and is the end for what fails in it: strangers cost a hash and a
comparison, and nothing that a forged report says is ever held against a rule. Time comes from the caller,
who keeps it from running backwards; a document from the future is refused here.

`AppraisalRequest` and everything that comes back are picklable: appraisal runs in a process of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from runtime.attestation import policy, wire
from runtime.attestation.findings import Findings, Reason
from runtime.attestation.member_policy import Subject
from runtime.attestation.result import AttestationResult
from runtime.attestation.tees import TEES, Root
from runtime.attestation.wire import Evidence
from runtime.documents import fleet, times
from runtime.documents.fleet import FleetDocument, Member, Role
from runtime.errors import DocumentError, MalformedError

_DOCUMENTS_KEPT = 4  # the present one, the next one, and room for a change of mind


@dataclass(frozen=True, slots=True, kw_only=True)
class AppraisalRequest:
    """All that an appraisal depends on."""

    evidence: bytes
    binder: bytes  # 64, which the evidence has to carry
    settings_digest: bytes  # 32, from the peer's hello
    role: Role  # in which the peer acts
    document: bytes  # payload of the fleet document whose envelope the caller has verified
    roots: tuple[Root, ...]
    now: int  # Unix seconds


def appraise(request: AppraisalRequest) -> AttestationResult:
    """Return whom the owner's document accepts on this evidence.

    Raises: EvidenceRefusedError with all failed checks of the step that refused; MalformedError.
    """
    try:
        document = _document(request.document)  # 1
    except DocumentError as error:
        raise MalformedError(fleet.WHAT, str(error)) from error
    member = find_member(document, request.settings_digest, request.role, request.now)  # 2
    evidence = wire.decode(request.evidence)  # 3
    _check_accepted(document, evidence)
    claims = TEES[evidence.format].verify(evidence, request.binder, request.roots, request.now)  # 4
    subject = Subject(
        member=member,
        role=request.role,
        binder=request.binder,
        settings_digest=request.settings_digest,
        evidence=request.evidence,
    )
    return policy.appraise(claims, subject, document, request.now)  # 5


def prepare(document: bytes) -> None:
    """Read a payload that came into force, so that no appraisal under it has to. Raises: DocumentError."""
    _document(document)


@lru_cache(maxsize=_DOCUMENTS_KEPT)
def _document(payload: bytes) -> FleetDocument:
    return fleet.read(payload)


def find_member(document: FleetDocument, settings_digest: bytes, role: Role, now: int) -> Member:
    """Answer the cheap questions alone: also for the channel, before it asks for evidence at all.

    Raises: EvidenceRefusedError.
    """
    findings, source = Findings(), "the fleet document"
    member = document.member_by_settings(settings_digest)
    findings.require(
        document.issued_at <= now,
        "document.issued_at",
        Reason.DOCUMENT,
        expected=f"a time from {times.show(document.issued_at)}",
        actual=times.show(now),
        source=source,
        remedy="this machine's clock is behind the owner's",
    )
    findings.require(
        now <= document.expires_at,
        "document.expires_at",
        Reason.EXPIRED,
        expected=f"a time until {times.show(document.expires_at)}",
        actual=times.show(now),
        source=source,
        remedy="sign and publish a new fleet document",
    )
    findings.require(
        member is not None,
        "member.known",
        Reason.MEMBER,
        expected="the settings digest of a member",
        actual=settings_digest.hex()[:32],
        source=source,
        remedy="enrol the VM: its settings' digest belongs beside a member's name",
    )
    findings.require(
        member is None or member.role == role,
        "member.role",
        Reason.ROLE,
        expected="" if member is None else member.role,
        actual=role,
        source=source,
        remedy="a member acts in the role the owner gave it",
    )
    return findings.held(member)


def _check_accepted(document: FleetDocument, evidence: Evidence) -> None:
    findings = Findings()
    policy.accepts(findings, evidence.format, document)
    findings.settle()
