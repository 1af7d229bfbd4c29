"""Reference Values: typed as the schema promised, nothing defaulted."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping

import pytest

from runtime.documents import reference_values
from tests.documents.damage import example

RAW = json.loads(example("fleet"))
SNP = {
    **RAW["reference_values"]["azure-snp"]["snp"],
    "products": RAW["reference_values"]["aws-snp-nitrotpm"]["snp"]["products"]
    | RAW["reference_values"]["azure-snp"]["snp"]["products"],
}


def test_an_image_splits_launch_digests_from_registers() -> None:
    measurements = {"pcr4_sha256": "aa" * 32, "snp_launch": ["bb" * 48, "cc" * 48]}
    image = reference_values.image({**RAW["images"][0], "measurements": measurements}, 7)
    assert (image.snp_launch, image.registers) == (
        (b"\xbb" * 48, b"\xcc" * 48),
        {"pcr4_sha256": b"\xaa" * 32},
    )
    assert image.not_after == 7
    assert reference_values.image(RAW["images"][0], 7).snp_launch == ()


def test_firmware_keeps_its_name_and_digest() -> None:
    firmware = reference_values.firmware(RAW["firmware"][0], 9)
    assert (firmware.name, firmware.register, len(firmware.value)) == (
        "aws/uefi m6a.large",
        "snp_measurement",
        48,
    )


def test_snp_values_keep_every_word_of_the_owner() -> None:
    snp = reference_values.snp(SNP)
    assert snp.report_versions == {3, 5}
    assert snp.products["Milan"].min_tcb == {"bootloader": 4, "tee": 0, "snp": 24, "microcode": 219}
    assert snp.products["Milan"].opt_in.keys() == {"arxiv-2605.12990"}
    assert snp.products["Genoa"].opt_in == {}
    assert (snp.smt_allowed, snp.cxl_allowed, snp.min_abi) == (True, False, (0, 0))
    assert (snp.required_mitigations, snp.revocation_required) == (0, False)


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ({"guest_policy": {**SNP["guest_policy"], "smt": "forbidden"}}, "smt_allowed", False),
        ({"guest_policy": {**SNP["guest_policy"], "cxl": "allowed"}}, "cxl_allowed", True),
        ({"guest_policy": {**SNP["guest_policy"], "min_abi": "1.51"}}, "min_abi", (1, 51)),
        ({"required_mitigations": "0x1f"}, "required_mitigations", 31),
        ({"revocation": "required"}, "revocation_required", True),
        ({"provisional_firmware": True}, "provisional_firmware", True),
    ],
)
def test_each_word_changes_its_own_field(change: dict[str, object], field: str, value: object) -> None:
    assert getattr(reference_values.snp({**SNP, **change}), field) == value


def test_a_missing_word_is_never_filled_in() -> None:
    for name in SNP:
        with pytest.raises(KeyError):
            reference_values.snp({key: value for key, value in SNP.items() if key != name})


def test_nothing_can_be_changed_after_reading() -> None:
    snp = reference_values.snp(SNP)
    assert isinstance(snp.products, Mapping)
    with pytest.raises(TypeError):
        snp.products["Milan"].min_tcb["snp"] = 0  # type: ignore[index]  # the point of the test
    with pytest.raises(dataclasses.FrozenInstanceError):
        snp.min_guest_svn = 3  # type: ignore[misc]  # the point of the test


def test_each_format_has_the_values_of_its_parts_and_no_others() -> None:
    formats = reference_values.formats(RAW["reference_values"])
    assert set(formats) == set(RAW["reference_values"])
    for name, raw in RAW["reference_values"].items():
        there = {
            field.name
            for field in dataclasses.fields(formats[name])
            if getattr(formats[name], field.name) is not None
        }
        assert there == set(raw)
    with pytest.raises(TypeError):
        formats["qemu-tpm"] = formats["gcp-tdx"]  # type: ignore[index]  # the point of the test
