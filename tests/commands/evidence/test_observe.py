"""A new platform's values: those of true evidence only, dated, and loudly nobody's."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from runtime.attestation import model
from runtime.attestation.model import EvidenceRefusedError
from runtime.commands.evidence import observe
from runtime.documents import fleet as fleets
from runtime.documents import strict_json, times
from runtime.errors import UsageError
from tests.commands.evidence.conftest import collected, written
from tests.fakes.machines import SETTINGS, FakeMachine

FORMATS = ("aws-snp-nitrotpm", "azure-snp", "azure-tdx", "gcp-snp", "gcp-tdx", "qemu-tpm", "aws-nitrotpm")


def run(machine: FakeMachine, *arguments: str) -> None:
    parser = argparse.ArgumentParser()
    observe.add_arguments(parser)
    observe.verb(parser.parse_args(arguments), machine.roots, machine.now)


@pytest.mark.parametrize("form", FORMATS)
def test_observed_values_make_a_document_that_accepts_the_machine(
    fleet: dict[str, FakeMachine], form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = fleet[form]
    run(machine, "--file", written(tmp_path / "e", collected(machine)))
    said = capsys.readouterr()
    assert "NOT VERIFIED AGAINST ANYTHING" in said.err
    seen = json.loads(said.out)
    assert seen["verified_against"] == "nothing"
    assert seen["member"]["settings_sha256"] == SETTINGS.hex()
    assert {entry["register"]: entry["value"] for entry in seen["firmware"]} == {
        register: value.hex() for register, value in machine.firmware.items()
    }
    wanted = dict(machine.instance)
    assert seen["member"]["instance"]["value"].lower() == wanted["value"].lower()
    assert times.parse(seen["image"]["not_after"]) == machine.now + observe.DAYS * times.DAY_S
    document = machine.document() | {"firmware": seen["firmware"]}
    measured = seen["image"]["measurements"]
    assert measured
    assert measured.items() <= document["images"][0]["measurements"].items()
    document["images"][0]["measurements"] = measured
    assert fleets.read(strict_json.canonical(document)).reference_values.firmware


def test_evidence_that_is_not_true_has_no_values(fleet: dict[str, FakeMachine], tmp_path: Path) -> None:
    machine = fleet["gcp-snp"]
    path = written(tmp_path / "e", collected(machine, endorsements={"vek": None}))
    with pytest.raises(EvidenceRefusedError):
        run(machine, "--file", path)


def test_usage_errors(fleet: dict[str, FakeMachine], tmp_path: Path) -> None:
    machine = fleet["qemu-tpm"]
    (tmp_path / "bare").write_bytes(model.encode(machine.evidence()))
    for arguments in ([], ["host"], ["host", "--file", "x"], ["--file", f"{tmp_path}/bare"]):
        with pytest.raises(UsageError):
            run(machine, *arguments)
