"""What bytes say, for people: every kind, broken ones too, and always that nothing is verified."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.attestation import model
from runtime.commands import main
from runtime.commands.evidence import files, inspect
from runtime.errors import UsageError
from tests.commands.evidence.conftest import collected
from tests.fakes import measured_boot
from tests.fakes.machines import FakeMachine


def test_every_format_is_shown(fleet: dict[str, FakeMachine]) -> None:
    for form, machine in fleet.items():
        one = collected(machine)
        for data in (files.write(one), model.encode(one.evidence)):
            lines = inspect.render(data)
            assert lines[0] == inspect.WARNING
            assert form in lines[1]
            assert not any("cannot be read" in line for line in lines), form


@pytest.mark.parametrize("part", ["snp_report", "td_quote", "hcl_report", "nitrotpm_document", "tpm_quote"])
def test_single_parts_are_known_by_their_bytes(fleet: dict[str, FakeMachine], part: str) -> None:
    data = next(m.evidence().parts[part] for m in fleet.values() if part in m.evidence().parts)
    assert inspect.kind_of(data) == part
    assert len(inspect.render(data)) > 3


def test_a_log_is_replayed() -> None:
    lines = inspect.render(measured_boot.EVENT_LOG)
    assert any(measured_boot.SHA256_PCRS[4].hex() in line for line in lines)


def test_a_part_that_cannot_be_read_is_said(fleet: dict[str, FakeMachine]) -> None:
    data = fleet["azure-snp"].evidence().parts["hcl_report"][:1300]
    assert any("cannot be read" in line for line in inspect.render(data))


@pytest.mark.parametrize("data", [b"", b"hello", bytes(100)])
def test_what_is_nothing_known_is_a_usage_error(data: bytes) -> None:
    with pytest.raises(UsageError):
        inspect.render(data)


def test_the_command(
    fleet: dict[str, FakeMachine], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "e").write_bytes(files.write(collected(fleet["gcp-tdx"])))
    assert main.run(["evidence", "inspect", str(tmp_path / "e")]) == 0
    assert "NOT VERIFIED" in capsys.readouterr().out
