"""Every claim says whose word it is, and what nobody proved is said as well."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from runtime.attestation import known_weak
from tests.attestation.platforms import appraise, as_hardware
from tests.fakes.machines import FakeMachine

SOURCES = {  # format -> who measured the image, the settings, and names the machine
    "aws-snp-nitrotpm": ("AWS' hypervisor (NitroTPM)", "AWS' certificate of the NitroTPM (module_id)"),
    "azure-snp": ("Microsoft's paravisor (vTPM inside the TEE)", "Microsoft's paravisor (vmUniqueId)"),
    "azure-tdx": ("Microsoft's paravisor (vTPM inside the TEE)", "Microsoft's paravisor (vmUniqueId)"),
    "gcp-snp": ("Google's hypervisor (vTPM)", "Google's certificate of the attestation key"),
    "gcp-tdx": ("Intel CPU (RTMR1, RTMR2)", "Google's certificate of the attestation key"),
    "aws-nitrotpm": ("AWS' hypervisor (NitroTPM)", "AWS' certificate of the NitroTPM (module_id)"),
}


@pytest.mark.parametrize(("form", "sources"), SOURCES.items())
def test_who_vouches_for_what(
    platforms: Mapping[str, FakeMachine], form: str, sources: tuple[str, str]
) -> None:
    result = appraise(platforms[form], roots=as_hardware(platforms[form].roots))
    said = {row.claim: row.measured_by for row in result.statements}
    assert said["image"] == f"{sources[0]}, named by the owner"
    assert said["machine"] == sources[1]
    assert "test root" not in " ".join(said.values())
    assert ("memory encryption" in said) is (form != "aws-nitrotpm")
    simulated = appraise(platforms[form])
    assert "test root" in {row.claim: row.measured_by for row in simulated.statements}["image"]


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("azure-snp", "not defended against Microsoft"),
        ("gcp-snp", "not defended against the provider"),
        ("aws-nitrotpm", "nothing encrypts this machine's memory"),
        ("gcp-tdx", "the provider's hypervisor names it (grade V)"),
    ],
)
def test_what_is_not_proven_is_said(platforms: Mapping[str, FakeMachine], form: str, words: str) -> None:
    result = appraise(platforms[form], roots=as_hardware(platforms[form].roots))
    assert any(words in gap for gap in result.not_proven), result.not_proven


def test_a_known_weak_product_is_repeated(platforms: Mapping[str, FakeMachine]) -> None:
    milan = known_weak.KNOWN_WEAK[0]
    for form, weak in (("gcp-snp", True), ("azure-snp", False), ("gcp-tdx", False)):
        result = appraise(platforms[form])
        assert any(milan.citation in warning for warning in result.warnings) is weak
