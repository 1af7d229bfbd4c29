"""The grade follows from what was proven; a label, or the owner's wish, does not change it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
    hardware = as_hardware(machine.roots)
    result = appraise(machine, old, roots=hardware)
    assert result.grade == "V"
    ended = f"the owner listed RTMR0 until {times.show(machine.now - 1)}"
    assert f"that the host's ACPI tables are harmless: {ended}" in result.not_proven
    strict = old | {"least_grade": dict.fromkeys(("server", "client", "key_receiver"), "H")}
    (failed,) = refused(machine, strict, roots=hardware).values()
    assert failed.actual == f"V ({ended})"
    assert failed.remedy.endswith("; extend its entry for grade H")


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


def test_an_image_that_nobody_knows_proves_no_grade(platforms: Mapping[str, FakeMachine]) -> None:
    """Of the refusal as well: whoever waives the image is not surprised by the grade."""
    for form, registers in (("gcp-snp", {"pcr4_sha256": "01" * 32}), ("gcp-tdx", {"rtmr1": ["01" * 48]})):
        machine = platforms[form]
        for least, also in (("V", {"grade.least"}), ("N", set[str]())):
            fleet = document(
                machine,
                measurements=registers,
                least_grade=dict.fromkeys(("server", "client", "key_receiver"), least),
            )
            failed = refused(machine, fleet, roots=as_hardware(machine.roots))
            assert set(failed) == {f"image.{next(iter(registers)).partition('_')[0]}"} | also


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


def waive(*checks: str) -> list[dict[str, str]]:
    """Waivers of these checks for everybody."""
    return [
        {
            "name": f"w{index}",
            "check": check,
            "member": "*",
            "reason": "until the next image",
            "not_after": "2027-12-31T00:00:00Z",
        }
        for index, check in enumerate(checks)
    ]


FIRMWARE = {
    "aws-snp-nitrotpm": "snp_measurement",
    "azure-snp": "snp_measurement",
    "azure-tdx": "mrtd",
    "gcp-snp": "snp_measurement",
    "gcp-tdx": "mrtd",
}
EVERYBODY = ("server", "client", "key_receiver")


@pytest.mark.parametrize(("form", "register"), FIRMWARE.items())
def test_unknown_firmware_carries_no_grade(
    platforms: Mapping[str, FakeMachine], form: str, register: str
) -> None:
    """Registers are what firmware says was booted: any firmware at all can show those of our image."""
    machine, best = platforms[form], GRADES[form][0]
    unlisted: dict[str, Any] = {
        "firmware": {register: None},
        "waivers": waive("firmware.measurement"),
        "purpose": "production",
    }
    result = appraise(
        machine,
        document(machine, **unlisted, least_grade=dict.fromkeys(EVERYBODY, "N")),
        roots=as_hardware(machine.roots),
    )
    assert (result.grade, result.instance_grade, result.image) == ("N", "N", "test-image")
    assert any("the firmware is not one that the owner lists" in gap for gap in result.not_proven)
    said = {row.claim: row.measured_by for row in result.statements}
    assert "firmware that passes by a waiver" in said["image"]
    assert ("firmware that passes by a waiver" in said["machine"]) is form.startswith("azure")
    wanted = document(machine, **unlisted, least_grade=dict.fromkeys(EVERYBODY, best))
    failed = refused(machine, wanted, roots=as_hardware(machine.roots))
    assert set(failed) == {"grade.least"}
    assert "firmware.measurement" in failed["grade.least"].actual
    assert "Reference Values" in failed["grade.least"].remedy
    assert (
        appraise(
            machine, document(machine, firmware={register: None}, waivers=waive("firmware.measurement"))
        ).grade
        == "T"
    )


@pytest.mark.parametrize(("form", "register"), FIRMWARE.items())
def test_firmware_past_its_date_carries_no_grade(
    platforms: Mapping[str, FakeMachine], form: str, register: str
) -> None:
    machine = platforms[form]
    old = document(machine, waivers=waive("firmware.date"))
    for entry in old["firmware"]:
        if entry["register"] == register:
            entry["not_after"] = times.show(machine.now - 1)
    assert appraise(machine, old, roots=as_hardware(machine.roots)).grade == "N"


def test_a_cpu_below_the_owners_floor_carries_no_grade(platforms: Mapping[str, FakeMachine]) -> None:
    snp = platforms["gcp-snp"]
    floors = {
        product: floor | {"min_tcb": dict.fromkeys(floor["min_tcb"], 255)}
        for product, floor in snp.document()["reference_values"]["gcp-snp"]["snp"]["products"].items()
    }
    low = document(
        snp,
        values={"snp": {"products": floors}},
        waivers=waive("tcb.reported", "tcb.committed", "tcb.launch"),
    )
    tdx = platforms["gcp-tdx"]
    module = document(tdx, values={"tdx": {"mrseam": ["01" * 48]}}, waivers=waive("td.mrseam"))
    for machine, fleet in ((snp, low), (tdx, module)):
        result = appraise(machine, fleet, roots=as_hardware(machine.roots))
        assert (result.grade, result.instance_grade) == ("N", "N")
        assert any("the CPU's own word" in gap for gap in result.not_proven)


def test_what_no_grade_rests_on_leaves_it_where_it_was(platforms: Mapping[str, FakeMachine]) -> None:
    machine = platforms["gcp-tdx"]
    fleet = document(machine, values={"gce": {"zones": ["nowhere-west1-a"]}}, waivers=waive("gce.zone"))
    result = appraise(machine, fleet, roots=as_hardware(machine.roots))
    assert ([entry.check for entry in result.waivers], result.grade) == (["gce.zone"], "H")


def test_a_waived_image_says_nothing_of_the_machine(platforms: Mapping[str, FakeMachine]) -> None:
    machine = platforms["azure-tdx"]
    fleet = document(machine, measurements={"pcr4_sha256": "01" * 32}, waivers=waive("image.pcr4"))
    result = appraise(machine, fleet, roots=as_hardware(machine.roots))
    assert (result.grade, result.instance_grade) == ("N", "P")
    assert not any("which machine" in gap or "nothing encrypts" in gap for gap in result.not_proven)
