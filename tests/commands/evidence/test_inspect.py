"""What bytes say, for people: every kind, broken ones too, and always that nothing is verified."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from runtime.attestation import wire
from runtime.attestation.formats import FORMATS
from runtime.commands import main
from runtime.commands.evidence import files, inspect
from runtime.errors import UsageError
from tests.commands.evidence.conftest import collected
from tests.corpus import cases
from tests.fakes import measured_boot
from tests.fakes.machines import FakeMachine

MORE = ("ccel", "tpm_pcrs", "tpm_signature", "ak_public")


def shown(data: bytes) -> list[str]:
    return inspect.render(inspect.look(data))


def test_every_format_is_shown(fleet: dict[str, FakeMachine]) -> None:
    for form, machine in fleet.items():
        one = collected(machine)
        for data in (files.write(one), wire.encode(one.evidence)):
            lines = shown(data)
            assert lines[0] == inspect.WARNING
            assert form in lines[1]
            parts = {item.name for item in inspect.look(data).items}
            assert parts >= set(FORMATS[form].parts) | ({"event_log"} & set(one.evidence.endorsements))
            assert all(item.rows for item in inspect.look(data).items)
            assert not any("cannot be read" in line for line in lines), form


@pytest.mark.parametrize(
    "part", ["snp_report", "td_quote", "hcl_report", "nitrotpm_document", "tpm_quote", *MORE]
)
def test_single_parts_are_known_by_their_bytes(fleet: dict[str, FakeMachine], part: str) -> None:
    data = next(m.evidence().parts[part] for m in fleet.values() if part in m.evidence().parts)
    assert inspect.kind_of(data) == part
    assert len(shown(data)) > 3


def test_a_log_is_replayed() -> None:
    lines = shown(measured_boot.EVENT_LOG)
    assert any(measured_boot.SHA256_PCRS[4].hex() in line for line in lines)


def test_a_part_that_cannot_be_read_is_said(fleet: dict[str, FakeMachine]) -> None:
    data = fleet["azure-snp"].evidence().parts["hcl_report"][:1300]
    assert any("cannot be read" in line for line in shown(data))


@pytest.mark.parametrize("data", [b"", b"hello", bytes(100)])
def test_what_is_nothing_known_is_a_usage_error(data: bytes) -> None:
    with pytest.raises(UsageError):
        shown(data)


def test_the_command(
    fleet: dict[str, FakeMachine], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "e").write_bytes(files.write(collected(fleet["gcp-tdx"])))
    assert main.run(["evidence", "inspect", str(tmp_path / "e")]) == 0
    assert "NOT VERIFIED" in capsys.readouterr().out


def test_every_bank_of_a_log_is_replayed() -> None:
    lines = shown(measured_boot.EVENT_LOG)
    for bank, values in (("sha256", measured_boot.SHA256_PCRS), ("sha384", measured_boot.SHA384_PCRS)):
        for index in (4, 7, 11):
            assert any(f"{bank} PCR{index}" in line and values[index].hex() in line for line in lines)


def test_a_cc_log_is_replayed_to_its_registers() -> None:
    lines = shown(measured_boot.CCEL)
    for number in (0, 1, 2):
        assert any(f"RTMR{number}" in line and measured_boot.RTMRS[number].hex() in line for line in lines)


def test_a_log_of_the_old_form() -> None:
    record = (4).to_bytes(4, "little") + (0xD).to_bytes(4, "little") + b"\x11" * 20 + bytes(4)
    lines = shown(record * 2)
    assert any("SHA-1 only" in line for line in lines)
    assert any("sha1 PCR4" in line for line in lines)


def test_json_has_every_field(fleet: dict[str, FakeMachine]) -> None:
    found = inspect.answer(inspect.look(wire.encode(fleet["azure-tdx"].evidence())))
    assert (found["verified"], found["format"]) == (False, "azure-tdx")
    assert {item["name"] for item in found["items"]} == {*FORMATS["azure-tdx"].parts, "event_log"}
    assert all(item["fields"] and item["error"] is None for item in found["items"])
    assert "ak_certificate" in found["endorsements"]
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_an_item_that_cannot_be_read_is_an_error(
    fleet: dict[str, FakeMachine], tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    bad = fleet["gcp-tdx"].evidence(parts={"ccel": b"no log"})
    (tmp_path / "e").write_bytes(wire.encode(bad))
    assert main.run(["evidence", "inspect", str(tmp_path / "e"), *more]) == 10
    said = capsys.readouterr()
    assert "ccel" in said.err
    assert "RTMR2" in said.out  # the quote is shown all the same
    assert "CC event log" in said.out


def test_real_logs_are_shown() -> None:
    """Every log of the corpus: CC logs, old ones and those of every bank, or the reason why not."""
    corpus = cases.folder()
    if corpus is None:
        assert os.environ.get("CI") != "true", "no evidence corpus"
        pytest.skip("no evidence corpus")
    seen = 0
    for case in cases.every_case():
        for role, name in (
            ("ccel", "ccel"),
            ("event_log", "event_log"),
            ("nitro_document", "nitrotpm_document"),
        ):
            data = case.one(role)
            if data is None:
                continue
            found = inspect.look(data)
            (item,) = found.items
            unreadable = case.about["facts"].get(role, {}).get("parse_error") is not None
            assert (item.error is not None) is unreadable, f"{case.path}: {item.error}"
            assert unreadable or (item.name, bool(item.rows)) == (name, True), case.path
            seen += 1
    assert seen > 20
