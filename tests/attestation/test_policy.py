"""Binding, settings, member, image, grade and waivers: who may be a member, and on whose word."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from runtime.attestation import policy, statements, verifier
from runtime.attestation.findings import EvidenceRefusedError
from runtime.attestation.member_policy import Subject
from runtime.attestation.snp_claims import TrustRoot
from runtime.attestation.tees import TEES
from runtime.documents import fleet as documents
from runtime.documents import strict_json, times
from runtime.documents.waivable import WAIVABLE
from tests.attestation.scene import BINDER, SETTINGS, Scene
from tests.fakes import snp_report
from tests.fakes.amd import FakeAmd
from tests.fakes.fleets import MEASUREMENT, NOW, ZERO_DIGEST

Scenes = Callable[..., Scene]
HARDWARE_GRADES = {"server": "H", "client": "H", "key_receiver": "H"}


def as_hardware(amd: FakeAmd) -> tuple[TrustRoot, ...]:
    """Say of the throw-away roots what is only ever said of AMD's: what the rules do with real chips."""
    return tuple(
        TrustRoot(kind="hardware", vendor="amd", product=root.product, sha256=root.sha256)
        for root in amd.roots()
    )


def waiver(check: str, /, **changes: Any) -> dict[str, Any]:
    return {
        "name": "known-gap",
        "check": check,
        "member": "client-1",
        "reason": "until the next image",
        "not_after": times.show(NOW),
    } | changes


def image(**changes: Any) -> dict[str, Any]:
    right = {
        "id": "test-image",
        "manifest_sha256": "22" * 32,
        "not_after": times.show(NOW + 30 * times.DAY_S),
        "measurements": {"snp_launch": [MEASUREMENT.hex()]},
    }
    return right | changes


FIRMWARE_ONLY: dict[str, Any] = {
    "images": [image(measurements={"pcr4_sha256": "33" * 32})],
    "firmware": [
        {
            "name": "ovmf",
            "format": "sev-snp",
            "register": "snp_measurement",
            "value": MEASUREMENT.hex(),
            "not_after": times.show(NOW + 10),
        }
    ],
}


def test_the_result_says_who_and_on_whose_word(scene: Scenes) -> None:
    made = scene()
    result = made.accept()
    assert (result.member, result.role, result.grade, result.purpose) == ("client-1", "client", "T", "test")
    assert (result.image, result.instance) == ("test-image", made.chip.chip_id.hex())
    assert (result.waivers, result.warnings) == ((), ())
    assert (result.appraised_at, result.document_version) == (NOW, 1)
    assert result.document_sha256 == sha256(made.payload()).digest()
    said = {row.claim: (row.value, row.measured_by) for row in result.statements}
    assert said["connection"] == (BINDER.hex(), "simulated TEE (test root)")
    assert said["member"] == ("client-1", "the owner's signature")
    assert said["settings"] == (SETTINGS.hex(), "host (HOST_DATA) (test root)")
    assert any("simulated" in gap for gap in result.not_proven)
    assert pickle.loads(pickle.dumps(result)) == result  # noqa: S301 - our own object


def test_the_result_names_the_evidence(scene: Scenes) -> None:
    request = scene().request()
    assert verifier.appraise(request).evidence_sha256 == sha256(request.evidence).digest()


@pytest.mark.parametrize(
    ("change", "failed"),
    [
        ({"binder": bytes(64)}, {"binding.report_data"}),
        ({"binder": BINDER[:63]}, {"binding.report_data"}),
        ({"binder": b""}, {"binding.report_data"}),
        ({"fields": {"report_data": BINDER[:63] + b"\0"}}, {"binding.report_data"}),
        ({"fields": {"host_data": sha256(b"other settings").digest()}}, {"settings.digest"}),
        ({"fields": {"host_data": bytes(32)}}, {"settings.digest"}),
        ({"member": {"chip_id": b"\x01" * 64}}, {"member.instance"}),
        ({"fields": {"measurement": b"\x12" * 48}}, {"measurement.known", "image.measured"}),
        ({"document": {"images": [image(not_after=times.show(NOW - 1))]}}, {"image.date"}),
        ({"document": {"least_grade": {**HARDWARE_GRADES, "client": "N"}}}, {"grade.least"}),
        ({"document": FIRMWARE_ONLY}, {"image.measured"}),
    ],
)
def test_one_thing_wrong(scene: Scenes, change: dict[str, Any], failed: set[str]) -> None:
    assert scene(**change).refuse() == failed


def test_an_instance_of_another_kind_is_not_proven_by_a_chip(scene: Scenes) -> None:
    made = scene()
    document = strict_json.parse(made.payload(), "document")
    document["members"][0]["instance"]["kind"] = "gcp_instance_id"
    request = dataclasses.replace(made.request(), document=strict_json.canonical(document))
    with pytest.raises(EvidenceRefusedError) as caught:
        verifier.appraise(request)
    assert [check.id for check in caught.value.checks] == ["member.instance"]


def test_everything_wrong_is_listed_together(scene: Scenes) -> None:
    failed = scene(
        fields={"policy": 0xB0000, "vmpl": 2, "measurement": b"\x12" * 48, "launch_tcb": bytes(8)},
        binder=bytes(64),
        member={"chip_id": b"\x01" * 64},
        document={"least_grade": HARDWARE_GRADES},
    ).refuse()
    assert failed == {
        *("binding.report_data", "member.instance", "measurement.known", "image.measured", "grade.least"),
        *("policy.debug", "snp.vmpl", "tcb.launch", "snp.known_weak"),
    }


# Purpose and grade


def test_production_never_takes_a_simulated_tee_nor_host_data(scene: Scenes) -> None:
    production = {"purpose": "production", "least_grade": HARDWARE_GRADES}
    assert scene(document=production).refuse() == {"settings.register", "purpose.root", "grade.least"}


def test_production_refuses_settings_by_host_data_on_real_hardware_too(amd: FakeAmd, scene: Scenes) -> None:
    production = {"purpose": "production", "least_grade": HARDWARE_GRADES}
    assert scene(document=production, roots=as_hardware(amd)).refuse() == {"settings.register", "grade.least"}


def test_a_report_alone_is_grade_t_whoever_signed_it(amd: FakeAmd, scene: Scenes) -> None:
    assert scene(roots=as_hardware(amd), document={"least_grade": HARDWARE_GRADES}).refuse() == {
        "grade.least"
    }
    result = scene(roots=as_hardware(amd)).accept()
    assert (result.grade, result.instance_grade) == ("T", "T")
    said = {row.claim: row.measured_by for row in result.statements}
    assert said["image"] == "AMD CPU, named by the owner"
    assert said["settings"] == "host (HOST_DATA)"
    assert any("settings" in gap for gap in result.not_proven)


def test_an_image_that_nobody_measured_passes_under_a_waiver_only(scene: Scenes) -> None:
    assert scene(document=FIRMWARE_ONLY).refuse() == {"image.measured"}
    result = scene(document=FIRMWARE_ONLY | {"waivers": [waiver("image.measured")]}).accept()
    assert (result.image, result.grade) == (None, "T")
    assert any("which image runs" in gap for gap in result.not_proven)


@pytest.mark.parametrize("least", ["H", "P", "V", "N"])
def test_t_is_below_every_grade_of_hardware(scene: Scenes, least: str) -> None:
    grades = {"server": "T", "client": least, "key_receiver": "T"}
    assert scene(document={"least_grade": grades}).refuse() == {"grade.least"}


def test_expired_firmware_entry(scene: Scenes) -> None:
    expired = {**FIRMWARE_ONLY["firmware"][0], "not_after": times.show(NOW - 1)}
    document = {"images": FIRMWARE_ONLY["images"], "firmware": [expired]}
    assert scene(document=document).refuse() == {"image.measured", "firmware.date"}


def test_of_two_generations_with_one_digest_the_later_counts(scene: Scenes) -> None:
    old, new = image(id="old", not_after=times.show(NOW - 1)), image(id="new")
    assert scene(document={"images": [old, new]}).accept().image == "new"


# Waivers


def test_a_waiver_passes_one_check_and_is_in_the_result(scene: Scenes) -> None:
    result = scene(fields={"version": 2}, document={"waivers": [waiver("snp.version")]}).accept()
    (applied,) = result.waivers
    assert (applied.name, applied.check, applied.actual) == ("known-gap", "snp.version", "2")
    assert scene(document={"waivers": [waiver("snp.version")]}).accept().waivers == ()


def test_a_waiver_for_all_members(scene: Scenes) -> None:
    assert (
        scene(fields={"version": 2}, document={"waivers": [waiver("snp.version", member="*")]})
        .accept()
        .waivers
    )


@pytest.mark.parametrize(
    "change",
    [
        {"not_after": times.show(NOW - 1)},
        {"member": "client-2"},
        {"check": "snp.vmpl"},
        {"check": "snp.versio"},
    ],
)
def test_a_waiver_for_another_time_member_or_check_does_nothing(
    scene: Scenes, change: dict[str, Any]
) -> None:
    waived = {"waivers": [waiver("snp.version", **change)]}
    assert scene(fields={"version": 2}, document=waived).refuse() == {"snp.version"}


def test_a_waiver_lets_only_its_own_check_pass(scene: Scenes) -> None:
    made = scene(fields={"version": 2, "vmpl": 1}, document={"waivers": [waiver("snp.version")]})
    assert made.refuse() == {"snp.vmpl"}


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"binder": bytes(64)}, "binding.report_data"),
        ({"fields": {"host_data": bytes(32)}}, "settings.digest"),
        ({"document": {"purpose": "production"}}, "settings.register"),
        ({"document": {"purpose": "production"}}, "purpose.root"),
        ({"member": {"chip_id": b"\x01" * 64}}, "member.instance"),
        ({"fields": {"measurement": b"\x12" * 48}}, "measurement.known"),
        ({"fields": {"policy": 0xB0000}}, "policy.debug"),
        ({"fields": {"policy": 0x70000}}, "policy.migration"),
        ({"fields": {"vmpl": 1}}, "snp.vmpl"),
        ({"document": {"least_grade": HARDWARE_GRADES}}, "grade.least"),
        ({"fields": {"chip_id": bytes(64)}}, "vek.chip_id"),
        ({"endorsements": {"root": None}}, "endorsements.root"),
        ({"settings_digest": bytes(32)}, "member.known"),
        ({"role": "server"}, "member.role"),
    ],
)
def test_what_says_who_the_peer_is_cannot_be_waived(
    scene: Scenes, change: dict[str, Any], check: str
) -> None:
    document = {"least_grade": HARDWARE_GRADES} if change.get("document", {}).get("purpose") else {}
    document |= change.get("document", {}) | {"waivers": [waiver(check, member="*")]}
    assert check in scene(**(change | {"document": document})).refuse()
    assert check not in WAIVABLE


def test_a_waiver_that_can_do_nothing_is_warned_about(scene: Scenes) -> None:
    for check in ("policy.debug", "no.such.check"):
        (warning,) = scene(document={"waivers": [waiver(check)]}).accept().warnings
        assert repr(check) in warning


# Warnings


def test_warnings_before_things_end(scene: Scenes) -> None:
    half = 7 * times.DAY_S - 3600
    assert scene(now=NOW + half).accept().warnings == ()
    (warning,) = scene(now=NOW + half + 1).accept().warnings
    assert "past half of its life" in warning
    soon = {"images": [image(not_after=times.show(NOW + statements.IMAGE_WARNING_S - 1))]}
    (warning,) = scene(document=soon).accept().warnings
    assert "test-image" in warning


def test_the_zero_digest_means_no_id_block() -> None:
    assert bytes.fromhex(ZERO_DIGEST) == bytes(48)
    assert snp_report.POLICY == 0x30000


def test_a_format_without_values_ends_the_policy_at_once(scene: Scenes) -> None:
    made = scene()
    claims = TEES["sev-snp"].verify(made.evidence(), BINDER, made.amd.roots(), made.now)
    known = documents.read(made.payload())
    none = documents.read(scene(document={"reference_values": {}}).payload())
    subject = Subject(
        member=known.members[0], role="client", binder=BINDER, settings_digest=SETTINGS, evidence=b""
    )
    assert policy.appraise(claims, subject, known, made.now).member == "client-1"
    with pytest.raises(EvidenceRefusedError) as caught:
        policy.appraise(claims, subject, none, made.now)
    assert [check.id for check in caught.value.checks] == ["sev-snp.accepted"]
