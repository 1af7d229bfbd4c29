"""A report alone: one part, no register, nothing but the chip's own root."""

from __future__ import annotations

from collections.abc import Callable

from runtime.attestation.tees import TEES
from runtime.attestation.tees.composites.sev_snp import SevSnp
from tests.attestation.scene import BINDER, Scene
from tests.fakes.fleets import NOW


def test_a_report_becomes_claims_of_one_part(scene: Callable[..., Scene]) -> None:
    made = scene()
    claims = SevSnp().verify(made.evidence(), BINDER, made.amd.roots(), NOW)
    assert claims.snp is not None
    assert (claims.registers, claims.tdx, claims.nitro, claims.instance) == (None, None, None, None)
    assert claims.unbound == ()
    assert claims.roots == (claims.snp.root,)
    assert SevSnp().endorsements_needed(made.evidence()) == ()


def test_another_binder_is_left_to_policy(scene: Callable[..., Scene]) -> None:
    made = scene()
    claims = TEES["sev-snp"].verify(made.evidence(), bytes(64), made.amd.roots(), NOW)
    assert [check.id for check in claims.unbound] == ["binding.report_data"]
    assert claims.log_checked is False
