"""The owner's law: may this peer, whose claims are true, be a member of this fleet? Pure.

Steps, numbered where they happen; every failed check of all of them is in one refusal:

    1 binding     the evidence was made for this very connection, direction and epoch
    2 settings    the VM booted with the settings the owner signed
    3 member      it is the one machine that the owner enrolled under that name
    4 image       what runs was measured, and the owner accepts it until a date
    5 platform    the Reference Values of its evidence format
    6 grade       by whom it was measured, and whether that is enough for its role
    7 waivers     named exceptions of the owner's, with an end
"""

from __future__ import annotations

from hashlib import sha256

from runtime.attestation import (
    grades,
    image_policy,
    member_policy,
    platform_policy,
    statements,
    waivers,
)
from runtime.attestation.findings import Findings, Reason
from runtime.attestation.member_policy import Subject
from runtime.attestation.result import AttestationResult
from runtime.attestation.tees import MachineClaims
from runtime.documents.fleet import FleetDocument
from runtime.documents.reference_values import FormatValues
from runtime.documents.waivable import CARRY_GRADE


def appraise(claims: MachineClaims, subject: Subject, document: FleetDocument, now: int) -> AttestationResult:
    """Return what the owner accepts. Raises: EvidenceRefusedError with every failed check."""
    findings = Findings()
    values = _accepted(findings, claims.format, document)
    findings.checks += claims.unbound  # 1
    member_policy.check_settings(findings, claims, subject, document)  # 2
    member_policy.check_member(findings, claims, subject)  # 3
    booted = image_policy.check(findings, claims, document, values, now)  # 4
    platform_policy.check(findings, claims, values, now)  # 5
    waived = waivers.covered(findings.failed(), subject.member, document.waivers, now)
    doubted = waived & CARRY_GRADE
    grade = grades.check(findings, claims, booted, doubted, subject.member.role, document)  # 6
    applied = waivers.apply(findings.failed(), subject.member, document.waivers, now)  # 7
    return AttestationResult(
        member=subject.member.name,
        role=subject.member.role,
        format=claims.format,
        grade=grade,
        instance_grade=grades.of_instance(claims, doubted),
        purpose=document.purpose,
        image=None if booted.image is None else booted.image.id,
        instance=member_policy.machine_name(claims).value,
        statements=statements.statements(claims, subject, booted, doubted),
        not_proven=statements.not_proven(claims, booted, grade, doubted),
        waivers=applied,
        warnings=statements.warnings(claims, document, values, booted, now),
        evidence_sha256=sha256(subject.evidence).digest(),
        document_sha256=document.digest,
        document_version=document.version,
        appraised_at=now,
        endorsed_until=claims.endorsed_until,
        newest_endorsement=claims.newest_endorsement,
    )


def accepts(findings: Findings, form: str, document: FleetDocument) -> None:
    """Note whether the document has Reference Values for evidence of this format."""
    known = document.reference_values.formats
    findings.require(
        form in known,
        f"{form}.accepted",
        Reason.DOCUMENT,
        expected=", ".join(sorted(known)) or "no format at all",
        actual=form,
        source="the fleet document",
        remedy="add the Reference Values of this evidence format to the fleet document",
    )


def _accepted(findings: Findings, form: str, document: FleetDocument) -> FormatValues:
    """Raises: EvidenceRefusedError at once where the document says nothing of the format."""
    accepts(findings, form, document)
    findings.settle()
    return document.reference_values.formats[form]
