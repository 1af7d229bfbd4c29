"""Named exceptions of the owner's, each for one check, one member and a time. Pure."""

from __future__ import annotations

from runtime.attestation.model import AppliedWaiver, Check, EvidenceRefusedError
from runtime.documents.fleet import Member, Waiver
from runtime.documents.waivable import WAIVABLE


def apply(
    failed: tuple[Check, ...], member: Member, waivers: tuple[Waiver, ...], now: int
) -> tuple[AppliedWaiver, ...]:
    """Return the waivers that let failed checks pass. Raises: EvidenceRefusedError for all the others."""
    applied: list[AppliedWaiver] = []
    refused: list[Check] = []
    for check in failed:
        waiver = next(
            (
                entry
                for entry in waivers
                if entry.check == check.id and entry.member in ("*", member.name) and now <= entry.not_after
            ),
            None,
        )
        if waiver is None or check.id not in WAIVABLE:
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
