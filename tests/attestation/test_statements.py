"""Every claim says whose word it is, and what nobody proved is said as well."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from runtime.attestation import known_weak
from runtime.documents import times
from tests.attestation.platforms import appraise, as_hardware, document
from tests.attestation.scene import Scene
from tests.fakes import intel, machines, td_machine
from tests.fakes.intel_certificates import COMPONENTS
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


def test_a_report_alone_is_its_hosts_word(scene: Callable[..., Scene]) -> None:
    said = {row.claim: row.measured_by for row in scene().accept().statements}
    assert said["settings"] == "host (HOST_DATA) (test root)"
    assert said["connection"] == "simulated TEE (test root)"
    assert any("the host wrote their digest" in gap for gap in scene().accept().not_proven)
    bare = scene(endorsements={"crl": None}, snp={"revocation": "when_present"}).accept()
    assert any("AMD did not revoke" in gap for gap in bare.not_proven)


def test_what_ends_soon_or_does_nothing_is_warned_about(platforms: Mapping[str, FakeMachine]) -> None:
    machine = platforms["gcp-tdx"]
    waiver = {
        "name": "useless",
        "check": "td.debug",
        "member": "*",
        "reason": "nobody may waive this",
        "not_after": times.show(machine.now + 60),
    }
    soon = document(machine, waivers=[waiver])
    soon["images"][0]["not_after"] = times.show(machine.now + 60)
    soon["expires_at"] = times.show(machine.now + 60)
    text = "\n".join(appraise(machine, soon).warnings)
    for words in ("past half of its life", "roll out the next", "waiver useless does nothing"):
        assert words in text


def test_an_image_that_nobody_knows_is_said(platforms: Mapping[str, FakeMachine]) -> None:
    machine = platforms["gcp-tdx"]
    waiver = {
        "name": "new-image",
        "check": "image.rtmr1",
        "member": "*",
        "reason": "not baked by us yet",
        "not_after": times.show(machine.now + 60),
    }
    fleet = document(machine, measurements={"rtmr1": None}, waivers=[waiver])
    result = appraise(machine, fleet)
    assert result.image is None
    assert any("which image runs" in gap for gap in result.not_proven)


def test_what_rests_on_a_waived_check_is_said(platforms: Mapping[str, FakeMachine]) -> None:
    machine = platforms["gcp-tdx"]

    def gaps(check: str, endorsements: Mapping[str, bytes | None], **changes: Any) -> list[str]:
        waiver = {"name": "w", "check": check, "member": "*", "reason": "the host is being updated"}
        waiver |= {"not_after": times.show(machine.now + 60)}
        fleet = document(machine, waivers=[waiver], **changes)
        return [
            gap for gap in appraise(machine, fleet, endorsements=endorsements).not_proven if "waiver" in gap
        ]

    level = intel.platform_level("OutOfDate", COMPONENTS)
    late = {"tdx_collateral": td_machine.collateral(tcb_info=intel.tcb_info(tcbLevels=[level]))}
    (told,) = gaps("tcb.status", late)
    assert told.startswith(
        "that the CPU's own word holds: tcb.status passes by a waiver, and the image rests on"
    )
    unknown = {"launch_endorsement": None}
    (told,) = gaps("firmware.measurement", unknown, firmware={"mrtd": None})
    assert told.startswith("what measured the image: the firmware is not one that the owner lists")


def test_a_key_without_certificates_and_days_of_grace(platforms: Mapping[str, FakeMachine]) -> None:
    azure = platforms["azure-snp"]
    optional = document(azure, values={"azure": {"ak_certificates": "when_present"}})
    result = appraise(azure, optional, endorsements=dict.fromkeys(machines.AK_PATH))
    assert any("Microsoft certified" in gap for gap in result.not_proven)
    machine = platforms["gcp-tdx"]
    level = intel.platform_level("OutOfDate", COMPONENTS)
    late = {"tdx_collateral": td_machine.collateral(tcb_info=intel.tcb_info(tcbLevels=[level]))}
    fleet = document(machine, values={"tdx": {"out_of_date_grace_days": 80}})
    assert any("days of grace" in line for line in appraise(machine, fleet, endorsements=late).warnings)
    unpinned = document(machine, firmware={"rtmr0": None})
    gaps = appraise(machine, unpinned, roots=as_hardware(machine.roots)).not_proven
    assert any("ACPI tables" in gap for gap in gaps)
