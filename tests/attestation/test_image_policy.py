"""Registers belong to one accepted image, nothing was added from outside, firmware is known."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from runtime.attestation import image_policy
from runtime.attestation.findings import Check, Findings
from runtime.attestation.image_policy import Booted
from runtime.attestation.tees import TEES, MachineClaims
from runtime.documents import fleet as fleets
from runtime.documents import times
from tests.attestation.platforms import appraise, claims_of, document, read, refused
from tests.attestation.scene import Scene
from tests.fakes.machines import FakeMachine

REGISTERS = {"azure-snp": 32, "gcp-snp": 32, "qemu-tpm": 32, "aws-snp-nitrotpm": 48, "aws-nitrotpm": 48}


@pytest.mark.parametrize(("form", "size"), REGISTERS.items())
@pytest.mark.parametrize("index", [12, 13])
def test_nothing_was_added_from_outside(
    platforms: Mapping[str, FakeMachine], form: str, size: int, index: int
) -> None:
    assert set(refused(platforms[form], registers={index: b"\x01" * size})) == {f"image.pcr{index}"}


@pytest.mark.parametrize("form", list(REGISTERS))
@pytest.mark.parametrize("index", [4, 11])
def test_a_missing_reference_value_is_a_refusal(
    platforms: Mapping[str, FakeMachine], form: str, index: int
) -> None:
    bank = "sha384" if REGISTERS[form] == 48 else "sha256"
    none = document(platforms[form], measurements={f"pcr{index}_{bank}": None})
    failed = refused(platforms[form], none)
    assert set(failed) == {f"image.pcr{index}"}
    assert "has none" in failed[f"image.pcr{index}"].expected


@pytest.mark.parametrize("form", list(REGISTERS))
def test_the_secure_boot_policy_is_listed_until_a_date(
    platforms: Mapping[str, FakeMachine], form: str
) -> None:
    register = "pcr7_sha384" if REGISTERS[form] == 48 else "pcr7_sha256"
    assert set(refused(platforms[form], document(platforms[form], firmware={register: None}))) == {
        "firmware.pcr7"
    }
    old = document(platforms[form])
    for entry in old["firmware"]:
        if entry["register"] == register:
            entry["not_after"] = times.show(platforms[form].now - 1)
    assert set(refused(platforms[form], old)) == {"firmware.pcr7.date"}


def test_firmware_of_another_format_is_not_this_ones(platforms: Mapping[str, FakeMachine]) -> None:
    fleet = document(platforms["gcp-snp"])
    for entry in fleet["firmware"]:
        entry["format"] = "azure-snp"
    assert set(refused(platforms["gcp-snp"], fleet)) == {"firmware.measurement", "firmware.pcr7"}


def generations(machine: FakeMachine, **second: Any) -> dict[str, Any]:
    fleet = document(machine)
    other = copy.deepcopy(fleet["images"][0]) | {"id": "next"}
    other["measurements"] |= second
    fleet["images"].append(other)
    return fleet


def test_generations_overlap(platforms: Mapping[str, FakeMachine]) -> None:
    fleet = generations(platforms["qemu-tpm"], pcr4_sha256="01" * 32, pcr11_sha256="02" * 32)
    assert appraise(platforms["qemu-tpm"], fleet).image == "test-image"
    fleet["images"][0]["measurements"] |= {"pcr4_sha256": "03" * 32}
    fleet["images"][1]["measurements"] |= {
        "pcr4_sha256": document(platforms["qemu-tpm"])["images"][0]["measurements"]["pcr4_sha256"]
    }
    assert set(refused(platforms["qemu-tpm"], fleet)) == {"image.generation"}


def test_of_two_entries_the_later_date_counts(platforms: Mapping[str, FakeMachine]) -> None:
    fleet = generations(platforms["gcp-tdx"])
    fleet["images"][0]["not_after"] = times.show(platforms["gcp-tdx"].now - 1)
    assert appraise(platforms["gcp-tdx"], fleet).image == "next"
    fleet["images"][1]["not_after"] = times.show(platforms["gcp-tdx"].now - 1)
    assert set(refused(platforms["gcp-tdx"], fleet)) == {"image.date"}


@pytest.mark.parametrize("register", ["rtmr1", "rtmr2"])
def test_a_tds_image_is_in_its_rtmrs(platforms: Mapping[str, FakeMachine], register: str) -> None:
    machine = platforms["gcp-tdx"]
    assert set(refused(machine, document(machine, measurements={register: None}))) == {f"image.{register}"}


def test_old_firmware(platforms: Mapping[str, FakeMachine]) -> None:
    for form, register in (("gcp-tdx", "mrtd"), ("azure-snp", "snp_measurement")):
        fleet = document(platforms[form])
        for entry in fleet["firmware"]:
            if entry["register"] == register:
                entry["not_after"] = times.show(platforms[form].now - 1)
        assert set(refused(platforms[form], fleet)) == {"firmware.date"}


def test_a_report_alone_covers_image_or_firmware(scene: Callable[..., Scene]) -> None:
    assert scene().accept().image == "test-image"
    assert scene(fields={"measurement": b"\x12" * 48}).refuse() == {"measurement.known", "image.measured"}


def test_a_nitrotpm_alone_has_no_firmware_to_list(platforms: Mapping[str, FakeMachine]) -> None:
    assert appraise(platforms["aws-nitrotpm"]).image == "test-image"


def test_an_endorsement_stands_for_an_entry(platforms: Mapping[str, FakeMachine]) -> None:
    machine = platforms["gcp-tdx"]
    for least, good in ((2, True), (3, False)):
        values = {"gce": {"endorsed_firmware": {"min_svn": least}}}
        fleet = document(machine, firmware={"mrtd": None}, values=values)
        if good:
            assert appraise(machine, fleet).image == "test-image"
        else:
            failed = refused(machine, fleet)
            assert set(failed) == {"firmware.measurement"}
            assert "Google endorses it as version 2" in failed["firmware.measurement"].actual


def looked_at(
    machine: FakeMachine, claims: MachineClaims, fleet: Mapping[str, Any] | None = None
) -> tuple[Booted, dict[str, Check]]:
    """Return what was booted, and the failed checks, of claims that evidence may not have."""
    made, findings = read(machine.document() if fleet is None else fleet), Findings()
    values = made.reference_values.formats[machine.format]
    booted = image_policy.check(findings, claims, made, values, machine.now)
    return booted, {check.id: check for check in findings.failed()}


@pytest.mark.parametrize(("later_s", "pinned"), [(0, True), (1, True), (-1, False), (None, False)])
def test_rtmr0_is_pinned_until_its_date(
    platforms: Mapping[str, FakeMachine], later_s: int | None, pinned: bool
) -> None:
    machine = platforms["gcp-tdx"]
    fleet = document(machine, firmware={"rtmr0": None} if later_s is None else {})
    for entry in fleet["firmware"]:
        if entry["register"] == "rtmr0":
            entry["not_after"] = times.show(machine.now + (later_s or 0))
    booted, failed = looked_at(machine, claims_of(machine), fleet)
    assert (booted.rtmr0_pinned, failed) == (pinned, {})


def test_a_launch_digest_pins_no_configuration(scene: Callable[..., Scene]) -> None:
    made = scene()
    fleet, findings = fleets.read(made.payload()), Findings()
    claims = TEES["sev-snp"].verify(made.evidence(), made.binder, made.amd.roots(), made.now)
    booted = image_policy.check(findings, claims, fleet, fleet.reference_values.formats["sev-snp"], made.now)
    assert booted.image is not None
    assert not booted.rtmr0_pinned


def test_a_register_that_is_not_there_is_not_zero(platforms: Mapping[str, FakeMachine]) -> None:
    machine = platforms["qemu-tpm"]
    claims = claims_of(machine)
    assert claims.registers is not None
    fewer = {index: value for index, value in claims.registers.values.items() if index not in {7, 12}}
    without = dataclasses.replace(claims, registers=dataclasses.replace(claims.registers, values=fewer))
    _, failed = looked_at(machine, without)
    assert {name: check.actual for name, check in failed.items()} == {
        "image.pcr12": "no such register",
        "firmware.pcr7": "no such register",
    }


def test_a_refusal_shows_what_the_owner_listed(platforms: Mapping[str, FakeMachine]) -> None:
    machine = platforms["qemu-tpm"]
    claims = claims_of(machine)
    assert claims.registers is not None
    values = {**claims.registers.values, 7: b"\x07" * 32}
    registers = dataclasses.replace(claims.registers, values=values)
    _, failed = looked_at(machine, dataclasses.replace(claims, registers=registers))
    assert failed["firmware.pcr7"].expected == machine.firmware["pcr7_sha256"].hex()[:32] + "…"
    none = refused(machine, document(machine, firmware={"pcr7_sha256": None}))
    assert none["firmware.pcr7"].expected == "a value in the fleet document, which has none"


def test_an_endorsement_is_of_this_firmware(platforms: Mapping[str, FakeMachine]) -> None:
    machine = platforms["gcp-tdx"]
    wanted = {"gce": {"endorsed_firmware": {"min_svn": 2}}}
    unlisted = document(machine, firmware={"mrtd": None}, values=wanted)
    claims = claims_of(machine)
    assert claims.launch is not None
    other = dataclasses.replace(claims.launch, measurements=frozenset({b"\x99" * 48}))
    for launch in (other, None):
        changed = dataclasses.replace(claims, launch=launch)
        failed = looked_at(machine, changed, unlisted)[1]
        assert set(failed) == {"firmware.measurement"}
        said = "; Google's endorsement that came along is about other firmware" if launch is other else ""
        assert failed["firmware.measurement"].actual == b"\x22".hex() * 48 + said
        assert looked_at(machine, changed, document(machine, values=wanted))[1] == {}
    old = document(machine, values=wanted)
    for entry in old["firmware"]:
        entry["not_after"] = times.show(machine.now - 1)
    assert looked_at(machine, claims, old)[1] == {}  # what Google endorses needs no date of ours
