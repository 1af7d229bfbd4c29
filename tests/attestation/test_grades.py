"""The grade follows from what was proven; a label, or the owner's wish, does not change it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from runtime.documents import times
from tests.attestation.platforms import appraise, as_hardware, document, refused
from tests.fakes.machines import FakeMachine

GRADES = {
    "aws-snp-nitrotpm": ("V", "V"),
    "azure-snp": ("P", "P"),
    "azure-tdx": ("P", "P"),
    "gcp-snp": ("V", "V"),
    "gcp-tdx": ("H", "V"),
    "qemu-tpm": ("T", "T"),
    "aws-nitrotpm": ("N", "N"),
}


@pytest.mark.parametrize(("form", "grades"), GRADES.items())
def test_image_and_instance_are_graded_apart(
    platforms: Mapping[str, FakeMachine], form: str, grades: tuple[str, str]
) -> None:
    result = appraise(platforms[form], roots=as_hardware(platforms[form].roots))
    assert (result.grade, result.instance_grade) == grades
    simulated = appraise(platforms[form])
    assert (simulated.grade, simulated.instance_grade) == ("T", "T")


def test_without_rtmr0_a_td_is_no_better_than_its_host(platforms: Mapping[str, FakeMachine]) -> None:
    machine = platforms["gcp-tdx"]
    unpinned = document(machine, firmware={"rtmr0": None})
    result = appraise(machine, unpinned, roots=as_hardware(machine.roots))
    assert result.grade == "V"
    assert any("ACPI" in gap for gap in result.not_proven)
    least = document(
        machine,
        firmware={"rtmr0": None},
        least_grade=dict.fromkeys(("server", "client", "key_receiver"), "H"),
    )
    failed = refused(machine, least, roots=as_hardware(machine.roots))
    assert set(failed) == {"grade.least"}
    assert "RTMR0" in failed["grade.least"].remedy


def test_an_rtmr0_past_its_date_is_not_pinned(platforms: Mapping[str, FakeMachine]) -> None:
    machine = platforms["gcp-tdx"]
    old = document(machine)
    for entry in old["firmware"]:
        if entry["register"] == "rtmr0":
            entry["not_after"] = times.show(machine.now - 1)
    assert appraise(machine, old, roots=as_hardware(machine.roots)).grade == "V"


def test_an_image_under_a_waiver_is_grade_n(platforms: Mapping[str, FakeMachine]) -> None:
    machine = platforms["gcp-snp"]
    waiver = {
        "name": "bring-up",
        "check": "image.pcr4",
        "member": "*",
        "reason": "first boot of a new image",
        "not_after": times.show(machine.now + 60),
    }
    fleet = document(machine, measurements={"pcr4_sha256": "01" * 32}, waivers=[waiver])
    result = appraise(machine, fleet, roots=as_hardware(machine.roots))
    assert (result.image, result.grade) == (None, "N")


@pytest.mark.parametrize("form", list(GRADES))
def test_production_takes_hardware_only(platforms: Mapping[str, FakeMachine], form: str) -> None:
    if form == "qemu-tpm":
        return  # a production document cannot name it: tests of its composite
    machine = platforms[form]
    fleet = document(
        machine, purpose="production", least_grade=dict.fromkeys(("server", "client", "key_receiver"), "N")
    )
    assert set(refused(machine, fleet)) == {"purpose.root", "grade.least"}
    assert appraise(machine, fleet, roots=as_hardware(machine.roots)).purpose == "production"


@pytest.mark.parametrize(
    ("form", "firmware", "grade", "hint"),
    [
        ("gcp-tdx", {"rtmr0": None}, "V", True),
        ("azure-tdx", {}, "P", False),
        ("gcp-snp", {}, "V", False),
        ("aws-nitrotpm", {}, "N", False),
    ],
)
def test_rtmr0_is_the_advice_where_it_would_help_and_nowhere_else(
    platforms: Mapping[str, FakeMachine], form: str, firmware: dict[str, None], grade: str, hint: bool
) -> None:
    machine = platforms[form]
    best = dict.fromkeys(("server", "client", "key_receiver"), "H")
    least = document(machine, firmware=firmware, least_grade=best)
    failed = refused(machine, least, roots=as_hardware(machine.roots))["grade.least"]
    assert ("RTMR0" in failed.actual, "RTMR0" in failed.remedy) == (hint, hint)
    assert failed.actual.startswith(grade)
