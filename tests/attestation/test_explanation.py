"""Every answer about evidence has the shape of its schema, and a refusal says what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from runtime.attestation import explanation
from runtime.attestation.findings import EvidenceRefusedError
from runtime.documents import schema, strict_json
from runtime.errors import MalformedError, TunnelError, UnreachableError, UnsupportedTeeError, UsageError
from tests.attestation.platforms import appraise, as_hardware, document
from tests.fakes.machines import FakeMachine

FORMATS = ["aws-snp-nitrotpm", "azure-snp", "azure-tdx", "gcp-snp", "gcp-tdx", "qemu-tpm", "aws-nitrotpm"]


def held(value: dict[str, Any]) -> dict[str, Any]:
    return schema.read(strict_json.canonical(value), "appraisal", "explanation")


@pytest.mark.parametrize("form", FORMATS)
def test_acceptance_has_its_shape(platforms: Mapping[str, FakeMachine], form: str) -> None:
    value = held(explanation.accepted(appraise(platforms[form])))
    assert (value["format"], value["verdict"], value["exit_status"]) == (form, "accepted", 0)


def test_image_and_instance_are_reported_apart(platforms: Mapping[str, FakeMachine]) -> None:
    machine = platforms["gcp-tdx"]
    first, *_ = explanation.sentences(appraise(machine, roots=as_hardware(machine.roots)))
    assert first.endswith("gcp-tdx, image at grade H, instance at grade V, purpose test")
    assert "grade T" in explanation.sentences(appraise(machine))[0]


def test_waivers_warnings_and_gaps_are_in_the_sentences(platforms: Mapping[str, FakeMachine]) -> None:
    machine = platforms["gcp-snp"]
    waiver = {
        "name": "bring-up",
        "check": "firmware.measurement",
        "member": "*",
        "reason": "new firmware at Google",
        "not_after": "2027-01-01T00:00:00Z",
    }
    fleet = document(machine, firmware={"snp_measurement": None}, waivers=[waiver])
    text = "\n".join(explanation.sentences(appraise(machine, fleet)))
    for words in ("waived: firmware.measurement by bring-up", "warning: Milan is known", "not proven: "):
        assert words in text
    assert held(explanation.accepted(appraise(machine, fleet)))["waivers"][0]["name"] == "bring-up"


def test_a_refusal_lists_every_check_with_its_remedy(platforms: Mapping[str, FakeMachine]) -> None:
    with pytest.raises(EvidenceRefusedError) as caught:
        appraise(platforms["gcp-snp"], snp={"vmpl": 1, "policy": 0xB0000, "report_data": bytes(64)})
    value = held(explanation.refused(caught.value))
    assert [check["id"] for check in value["checks"]] == ["binding.report_data", "snp.vmpl", "policy.debug"]
    assert all(check["remedy"] for check in value["checks"])
    assert value["exit_status"] == 10


@pytest.mark.parametrize(
    ("error", "verdict", "status"),
    [
        (MalformedError("evidence", "is short", offset=7), "refused", 10),
        (UnsupportedTeeError("no verifier"), "not_appraised", 20),
        (UnreachableError("nobody answered"), "not_appraised", 30),
        (UsageError("no such file"), "not_appraised", 2),
    ],
)
def test_exit_codes(error: TunnelError, verdict: str, status: int) -> None:
    value = held(explanation.refused(error))
    assert (value["verdict"], value["exit_status"]) == (verdict, status)
