"""An appraisal as data: every check with what was wanted, what was found, who vouches, and what to do. Pure.

One shape for both verdicts, held to `documents/schemas/explanation.schema.json`: `--json` answers so.
`exit_status` is the number that the program ends with (docs/operations.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from runtime.attestation.findings import Check, EvidenceRefusedError
from runtime.attestation.result import AppliedWaiver, AttestationResult
from runtime.documents import times
from runtime.errors import MalformedError, TunnelError

SCHEMA = "tunnel-appraisal/1"


def accepted(result: AttestationResult) -> dict[str, Any]:
    """Return an accepted appraisal as JSON values."""
    return {
        "schema": SCHEMA,
        "verdict": "accepted",
        "exit_status": 0,
        "member": result.member,
        "role": result.role,
        "format": result.format,
        "grade": result.grade,
        "instance_grade": result.instance_grade,
        "purpose": result.purpose,
        "image": result.image,
        "instance": result.instance,
        "statements": [
            {"claim": row.claim, "value": row.value, "measured_by": row.measured_by}
            for row in result.statements
        ],
        "not_proven": list(result.not_proven),
        "waivers": [_waiver(waiver) for waiver in result.waivers],
        "warnings": list(result.warnings),
        "document_version": result.document_version,
        "document_sha256": result.document_sha256.hex(),
        "evidence_sha256": result.evidence_sha256.hex(),
        "appraised_at": times.show(result.appraised_at),
        "endorsed_until": times.show(min(result.endorsed_until, times.LATEST)),
    }


def refused(error: TunnelError) -> dict[str, Any]:
    """Return a refusal, or why there was no appraisal, as JSON values; every failed check is in it."""
    checks: Iterable[Check] = error.checks if isinstance(error, EvidenceRefusedError) else ()
    out: dict[str, Any] = {
        "schema": SCHEMA,
        "verdict": "refused" if error.exit_status == EvidenceRefusedError.exit_status else "not_appraised",
        "exit_status": error.exit_status,
        "code": error.code,
        "checks": [_check(check) for check in checks],
    }
    if isinstance(error, MalformedError):
        out["malformed"] = {"what": error.what, "detail": error.detail, "offset": error.offset}
    elif not isinstance(error, EvidenceRefusedError):
        out["detail"] = str(error)
    return out


def _check(check: Check) -> dict[str, Any]:
    return {
        "id": check.id,
        "reason": str(check.reason),
        "expected": check.expected,
        "actual": check.actual,
        "source": check.source,
        "remedy": check.remedy,
    }


def _waiver(waiver: AppliedWaiver) -> dict[str, Any]:
    return {
        "name": waiver.name,
        "check": waiver.check,
        "reason": waiver.reason,
        "not_after": times.show(waiver.not_after),
        "actual": waiver.actual,
    }


def sentences(result: AttestationResult) -> list[str]:
    """Return an accepted appraisal for people: one statement a line, and whose word each is."""
    width = max((len(statement.claim) for statement in result.statements), default=0)
    grades = f"grade {result.grade}"
    if result.instance_grade != result.grade:
        grades = f"image at grade {result.grade}, instance at grade {result.instance_grade}"
    lines = [f"member {result.member} ({result.role}), {result.format}, {grades}, purpose {result.purpose}"]
    lines += [
        f"  {row.claim:<{width}}  {row.value}  (measured by {row.measured_by})" for row in result.statements
    ]
    lines += [f"  not proven: {what}" for what in result.not_proven]
    lines += [
        f"  waived: {waiver.check} by {waiver.name} until {times.show(waiver.not_after)}: {waiver.reason}"
        for waiver in result.waivers
    ]
    lines += [f"  warning: {warning}" for warning in result.warnings]
    return lines
