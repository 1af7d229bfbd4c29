"""Whatever rests on a test root, or on none, is simulated."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Mapping

import pytest

from runtime.attestation.tees import TEES, MachineClaims
from tests.attestation.platforms import as_hardware
from tests.fakes.machines import BINDER, FakeMachine

FORMATS = ["aws-snp-nitrotpm", "azure-snp", "azure-tdx", "gcp-snp", "gcp-tdx", "qemu-tpm", "aws-nitrotpm"]


def claims_of(machine: FakeMachine, *, hardware: bool = False) -> MachineClaims:
    roots = as_hardware(machine.roots) if hardware else machine.roots
    return TEES[machine.format].verify(machine.evidence(), BINDER, roots, machine.now)


@pytest.mark.parametrize("form", FORMATS)
def test_every_platform_becomes_claims_that_can_be_sent_on(
    platforms: Mapping[str, FakeMachine], form: str
) -> None:
    claims = claims_of(platforms[form])
    assert claims.format == form
    assert claims.simulated
    assert claims_of(platforms[form], hardware=True).simulated is (form == "qemu-tpm")
    assert claims.log_checked
    assert claims.unbound == ()
    assert claims.endorsed_until > platforms[form].now >= claims.newest_endorsement
    assert pickle.loads(pickle.dumps(claims.unbound)) == claims.unbound  # noqa: S301 - our own object


def test_one_test_root_among_others_is_enough(platforms: Mapping[str, FakeMachine]) -> None:
    claims = claims_of(platforms["gcp-tdx"], hardware=True)
    assert not claims.simulated
    one = dataclasses.replace(claims.roots[1], kind="test")
    assert dataclasses.replace(claims, roots=(claims.roots[0], one)).simulated
