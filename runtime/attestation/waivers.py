"""Named exceptions of the owner's, each for one check, one member and a time. Pure.

The list of what may be waived is closed. What says who the peer is, and to whom it speaks, is not on it:
signature, chain, binding, settings, member; nor what would make the word "confidential" false: debug,
migration, VMPL, a revoked key, something booted beside the image.
"""

from __future__ import annotations

from runtime.attestation.model import AppliedWaiver, Check, EvidenceRefusedError
from runtime.attestation.tees.snp.report import PLATFORM_BITS, POLICY_BITS
from runtime.documents.fleet import Member, Waiver

WAIVABLE: frozenset[str] = frozenset(
    {
        # what was booted: without an image the grade is N
        "image.measured",
        "image.pcr4",
        "image.pcr11",
        "image.rtmr1",
        "image.rtmr2",
        "image.date",
        "firmware.measurement",
        "firmware.date",
        "firmware.pcr7",
        "firmware.pcr7.date",
        "log.present",
        # AMD
        "snp.version",
        "snp.known_weak",
        "snp.csp_id",
        "snp.revocation",
        "snp.guest_svn",
        "snp.id_key",
        "snp.author_key",
        "snp.mitigations",
        "policy.smt",
        "policy.cxl",
        "policy.abi",
        *(f"policy.{bit}" for bit in POLICY_BITS),
        *(f"platform.{bit}" for bit in PLATFORM_BITS),
        "tcb.reported",
        "tcb.committed",
        "tcb.launch",
        "tcb.provisional",
        # Intel
        "tcb.status",
        "tcb.advisories",
        "tcb.evaluation_number",
        "td.mrseam",
        "td.pks",
        "td.key_locker",
        "td.perfmon",
        "td.xfam",
        "platform.dynamic_platform",
        "platform.cached_keys",
        "platform.smt",
        # providers
        "azure.console",
        "ak.certified",
        "ak.revocation",
        "nitro.region",
        "gce.zone",
    }
)


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
