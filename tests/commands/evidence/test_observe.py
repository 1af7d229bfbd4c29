"""A new platform's values: those of true evidence only, dated, and loudly nobody's."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runtime.attestation import wire
from runtime.attestation.findings import EvidenceRefusedError, Reason
from runtime.commands.evidence import observe
from runtime.commands.evidence.files import Collected
from runtime.documents import fleet as fleets
from runtime.documents import strict_json, times
from runtime.documents.waivable import WAIVABLE
from runtime.errors import DocumentError, UsageError
from runtime.web.tunnel_name import endpoint_bound
from tests.attestation.platforms import appraise, refused
from tests.commands.evidence.conftest import NONCE, SPKI, collected, written
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
    unread = machine.document() | {"firmware": seen["firmware"]}
    if seen["firmware"]:
        with pytest.raises(DocumentError, match="name"):
            fleets.read(strict_json.canonical(unread))
    named = [entry | {"name": entry["register"]} for entry in seen["firmware"]]
    document = machine.document() | {"firmware": named}
    measured = seen["image"]["measurements"]
    assert measured
    assert measured.items() <= document["images"][0]["measurements"].items()
    document["images"][0]["measurements"] = measured
    assert fleets.read(strict_json.canonical(document)).reference_values.firmware


def seen_of(machine: FakeMachine, one: Collected, tmp_path: Path, capsys: Any, *more: str) -> dict[str, Any]:
    run(machine, "--file", written(tmp_path / "e", one), *more)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize("form", FORMATS)
def test_evidence_of_another_exchange_has_no_values(
    fleet: dict[str, FakeMachine], form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """True evidence that somebody replays answers another binder than this connection's."""
    machine = fleet[form]
    one = collected(machine)
    replayed = replace(one, evidence=machine.evidence(b"\1" * 64))
    with pytest.raises(EvidenceRefusedError) as caught:
        run(machine, "--file", written(tmp_path / "e", replayed))
    assert Reason.BINDING in caught.value.reasons
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("form", FORMATS)
def test_settings_that_nobody_measured_are_not_proven(
    fleet: dict[str, FakeMachine], form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = fleet[form]
    claimed = endpoint_bound(spki=SPKI, nonce=NONCE, settings_digest=bytes(32))
    one = Collected(evidence=machine.evidence(claimed.binder), bound=claimed)
    seen = seen_of(machine, one, tmp_path, capsys)
    assert "settings_sha256" not in seen["member"]
    (line,) = seen["not_proven"]
    assert line.startswith("member.settings_sha256")
    assert seen_of(machine, collected(machine), tmp_path, capsys)["not_proven"] == []


def other(value: str | list[str]) -> str | list[str]:
    return "ab" * (len(value) // 2) if isinstance(value, str) else ["ab" * (len(value[0]) // 2)]


@pytest.mark.parametrize("form", FORMATS)
def test_the_waivers_are_ready_but_for_the_owner_s_reason(
    fleet: dict[str, FakeMachine], form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = fleet[form]
    seen = seen_of(machine, collected(machine), tmp_path, capsys, "--member", "client-1")
    waivers = seen["waivers"]
    assert waivers
    assert {entry["check"] for entry in waivers} <= WAIVABLE
    empty = machine.document() | {"firmware": []}
    measured = empty["images"][0]["measurements"]
    empty["images"][0]["measurements"] = {name: other(value) for name, value in measured.items()}
    with pytest.raises(DocumentError, match="reason"):
        fleets.read(strict_json.canonical(empty | {"waivers": waivers}))
    filled = [entry | {"reason": "seen once, awaiting the vendor's values"} for entry in waivers]
    document = empty | {"waivers": filled, "least_grade": dict.fromkeys(empty["least_grade"], "T")}
    assert fleets.read(strict_json.canonical(document)).waivers
    assert set(refused(machine, empty)) - {"grade.least"} == {entry["check"] for entry in waivers}
    assert appraise(machine, document).member == "client-1"


def test_evidence_that_is_not_true_has_no_values(fleet: dict[str, FakeMachine], tmp_path: Path) -> None:
    machine = fleet["gcp-snp"]
    path = written(tmp_path / "e", collected(machine, endorsements={"vek": None}))
    with pytest.raises(EvidenceRefusedError):
        run(machine, "--file", path)


def test_usage_errors(fleet: dict[str, FakeMachine], tmp_path: Path) -> None:
    machine = fleet["qemu-tpm"]
    (tmp_path / "bare").write_bytes(wire.encode(machine.evidence()))
    for arguments in ([], ["host"], ["host", "--file", "x"], ["--file", f"{tmp_path}/bare"]):
        with pytest.raises(UsageError):
            run(machine, *arguments)
