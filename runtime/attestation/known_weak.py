"""Published attacks that a report cannot deny: which chips and firmware, since when, by whose word. Pure.

A machine that an entry applies to is accepted only where the fleet document names that very entry and says
why (`opt_in`), and every result then repeats it. So a new entry refuses wherever it applies, until the owner
accepts it too: that is what a new release may cost, and what an `opt_in` for a whole product would hide. Add
entries at the end, and their ids to `documents.weaknesses`; remove none while such a machine can be rented.
"""

from __future__ import annotations

from dataclasses import dataclass

from runtime.attestation.snp_claims import Claims, Tcb
from runtime.attestation.tees.snp.report import PLATFORM_BITS
from runtime.documents.reference_values import SnpProduct


@dataclass(frozen=True, slots=True, kw_only=True)
class Weakness:
    """One published attack on an AMD product line."""

    id: str
    product: SnpProduct
    noted: str  # date of this entry
    effect: str
    citation: str
    fixed_snp: int | None = None  # least SNP security version that cures it; None: no firmware does
    cured_by: str | None = None  # a PLATFORM_INFO bit that shows the cure is active

    def applies(self, claims: Claims) -> bool:
        """Tell whether nothing in the claims shows that this attack is cured."""
        if claims.product != self.product:
            return False
        if self.cured_by is not None:
            return not claims.platform_info & PLATFORM_BITS[self.cured_by]
        return self.fixed_snp is None or _least_snp(claims) < self.fixed_snp


def _least_snp(claims: Claims) -> int:
    tcbs: tuple[Tcb, ...] = (claims.reported_tcb, claims.committed_tcb, claims.launch_tcb)
    return min(tcb.snp for tcb in tcbs)


_BADRAM = "a host that doctors memory modules maps one cell twice and replays guest memory (BadRAM)"
_ENTRYSIGN = "a host loads microcode of its own making (EntrySign)"

KNOWN_WEAK: tuple[Weakness, ...] = (
    Weakness(
        id="arxiv-2605.12990",
        product="Milan",
        noted="2026-05-13",
        effect="software alone extracts the root VCEK seed: reports for any firmware version can be forged "
        "(MilanLaunchy with BadFuse); the effect on VLEK keys is not established",
        citation="arXiv 2605.12990",
    ),
    Weakness(
        id="cve-2024-56161",
        product="Milan",
        noted="2025-02-03",
        effect=_ENTRYSIGN,
        citation="CVE-2024-56161, AMD-SB-3019",
        fixed_snp=0x18,
    ),
    Weakness(
        id="cve-2024-56161",
        product="Genoa",
        noted="2025-02-03",
        effect=_ENTRYSIGN,
        citation="CVE-2024-56161, AMD-SB-3019",
        fixed_snp=0x17,
    ),
    Weakness(
        id="cve-2024-21944",
        product="Milan",
        noted="2024-12-10",
        effect=_BADRAM,
        citation="CVE-2024-21944, AMD-SB-3015",
        cured_by="alias_check_complete",
    ),
    Weakness(
        id="cve-2024-21944",
        product="Genoa",
        noted="2024-12-10",
        effect=_BADRAM,
        citation="CVE-2024-21944, AMD-SB-3015",
        cured_by="alias_check_complete",
    ),
)


def weaknesses(claims: Claims) -> tuple[Weakness, ...]:
    """Return the entries that nothing in the claims shows to be cured."""
    return tuple(entry for entry in KNOWN_WEAK if entry.applies(claims))
