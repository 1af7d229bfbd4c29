"""Registers belong to one accepted image, nothing was added from outside, firmware is known."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from runtime.documents import times
from tests.attestation.platforms import appraise, document, refused
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
            assert "Google endorses version 2" in failed["firmware.measurement"].actual
