"""Named exceptions of the owner's, each for one check, one member and a time. Pure."""

from __future__ import annotations

from runtime.attestation.findings import Check, EvidenceRefusedError
from runtime.attestation.result import AppliedWaiver
from runtime.documents.fleet import Member, Waiver
from runtime.documents.waivable import WAIVABLE


def covered(
    failed: tuple[Check, ...], member: Member, waivers: tuple[Waiver, ...], now: int
) -> frozenset[str]:
    """Return the ids of failed checks that a waiver lets pass: nothing proves what they are about."""
    return frozenset(check.id for check in failed if _waiver(check, member, waivers, now) is not None)


def apply(
    failed: tuple[Check, ...], member: Member, waivers: tuple[Waiver, ...], now: int
) -> tuple[AppliedWaiver, ...]:
    """Return the waivers that let failed checks pass. Raises: EvidenceRefusedError for all the others."""
    applied: list[AppliedWaiver] = []
    refused: list[Check] = []
    for check in failed:
        waiver = _waiver(check, member, waivers, now)
        if waiver is None:
            refused.append(check)
            continue
        applied.append(
            AppliedWaiver(
                name=waiver.name,
                check=check.id,
                reason=waiver.reason,
                not_after=waiver.not_after,
                actual=check.actual,
            )
        )
    if refused:
        raise EvidenceRefusedError(refused)
    return tuple(applied)


def _waiver(check: Check, member: Member, waivers: tuple[Waiver, ...], now: int) -> Waiver | None:
    if check.id not in WAIVABLE:
        return None
    return next(
        (
            entry
            for entry in waivers
            if entry.check == check.id and entry.member in ("*", member.name) and now <= entry.not_after
        ),
        None,
    )
