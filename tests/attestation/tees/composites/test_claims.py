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


def test_the_firmware_is_what_the_cpu_measured_and_google_s_word_is_about_it_or_nothing(
    platforms: Mapping[str, FakeMachine],
) -> None:
    measured = {form: claims_of(platforms[form]).firmware for form in FORMATS}
    assert measured == {
        "aws-snp-nitrotpm": b"\xf1" * 48,
        "azure-snp": b"\xf1" * 48,
        "azure-tdx": b"\x22" * 48,
        "gcp-snp": b"\xf1" * 48,
        "gcp-tdx": b"\x22" * 48,
        "qemu-tpm": None,
        "aws-nitrotpm": None,
    }
    for form in FORMATS:
        claims = claims_of(platforms[form])
        assert claims.endorsed_version == (2 if form.startswith("gcp") else None)
        if claims.launch is not None:
            other = dataclasses.replace(claims.launch, measurements=frozenset({b"\x99" * 48}))
            assert dataclasses.replace(claims, launch=other).endorsed_version is None
