"""`tunnel evidence verify`: accepted under a document, examined without one, refused with remedies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runtime.attestation import wire
from runtime.attestation.findings import EvidenceRefusedError
from runtime.commands import main
from runtime.commands.evidence import files, verify
from runtime.documents import dsse, schema, strict_json, times
from runtime.errors import DocumentError, UsageError
from tests.commands.evidence.conftest import NONCE, collected, written
from tests.fakes.machines import FakeMachine
from tests.web.owner import KEY, PUBLIC

FORMATS = ("aws-snp-nitrotpm", "azure-snp", "azure-tdx", "gcp-snp", "gcp-tdx", "qemu-tpm", "aws-nitrotpm")


def options(*arguments: str) -> Any:
    import argparse

    parser = argparse.ArgumentParser()
    verify.add_arguments(parser)
    return parser.parse_args(arguments)


def run(machine: FakeMachine, *arguments: str) -> None:
    verify.verb(options(*arguments), machine.roots, machine.now)


def document(tmp_path: Path, machine: FakeMachine) -> list[str]:
    path = tmp_path / "fleet.json"
    path.write_bytes(dsse.sign(strict_json.canonical(machine.document()), dsse.FLEET_TYPE, KEY))
    return ["--document", str(path), "--owner-key", PUBLIC.hex(), "--role", "client"]


@pytest.mark.parametrize("form", FORMATS)
def test_a_member_s_evidence_is_accepted(
    fleet: dict[str, FakeMachine], form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = fleet[form]
    path = written(tmp_path / "evidence", collected(machine))
    run(machine, path, *document(tmp_path, machine), "--nonce", NONCE.hex())
    out = capsys.readouterr().out
    assert "member client-1" in out
    assert "fresh" not in out
    run(machine, path, *document(tmp_path, machine), "--json")
    answer = json.loads(capsys.readouterr().out)
    assert (answer["verdict"], answer["fresh"], answer["member"]) == ("accepted", False, "client-1")
    run(machine, path, *document(tmp_path, machine))
    assert "not proven: that it is fresh" in capsys.readouterr().out


def test_a_document_of_the_future_is_refused_as_a_peer_does(
    fleet: dict[str, FakeMachine], tmp_path: Path
) -> None:
    """But for what a peer's clock may be behind the owner's."""
    machine = fleet["azure-snp"]
    path = written(tmp_path / "evidence", collected(machine))

    def issued(ahead: int) -> list[str]:
        made = machine.document() | {
            "issued_at": times.show(machine.now + ahead),
            "expires_at": times.show(machine.now + 30 * times.DAY_S),
        }
        (tmp_path / "fleet").write_bytes(dsse.sign(strict_json.canonical(made), dsse.FLEET_TYPE, KEY))
        return ["--document", f"{tmp_path}/fleet", "--owner-key", PUBLIC.hex(), "--role", "client"]

    for ahead in (301, 20 * times.DAY_S):
        with pytest.raises(EvidenceRefusedError) as caught:
            run(machine, path, *issued(ahead))
        assert [check.id for check in caught.value.checks] == ["document.issued_at"]
    run(machine, path, *issued(300))


@pytest.mark.parametrize(
    ("form", "part", "endorsement"),
    [("gcp-tdx", "td_quote", "tdx_collateral"), ("gcp-snp", "snp_report", "vek")],
)
def test_a_bare_part_is_taken_and_what_it_lacks_is_named_with_its_option(
    fleet: dict[str, FakeMachine],
    form: str,
    part: str,
    endorsement: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    machine = fleet[form]
    (tmp_path / "quote.bin").write_bytes(machine.evidence().parts[part])
    with pytest.raises(EvidenceRefusedError) as caught:
        run(machine, f"{tmp_path}/quote.bin")
    assert f"looks like --part {part}=FILE" in capsys.readouterr().err
    assert any(f"--endorsement {endorsement}=FILE" in check.remedy for check in caught.value.checks)
    path = written(tmp_path / "e", collected(machine, endorsements={endorsement: None}))
    with pytest.raises(EvidenceRefusedError) as caught:
        run(machine, path, *document(tmp_path, machine))
    assert any(f"--endorsement {endorsement}=FILE" in check.remedy for check in caught.value.checks)
    made = machine.evidence().endorsements
    more: list[str] = []
    for name, data in made.items():
        if name in {"tdx_collateral", "vek", "intermediate", "root", "crl"}:
            (tmp_path / name).write_bytes(data)
            more += ["--endorsement", f"{name}={tmp_path}/{name}"]
    run(machine, f"{tmp_path}/quote.bin", *more)
    assert "accepted by nobody" in capsys.readouterr().out


def test_help_lists_every_part_and_endorsement(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main.run(["evidence", "verify", "--help"])
    told = set(capsys.readouterr().out.replace(",", " ").split())
    assert told >= files.PARTS | files.ENDORSEMENTS


def test_an_unsigned_document_is_told_how_to_sign(fleet: dict[str, FakeMachine], tmp_path: Path) -> None:
    machine = fleet["qemu-tpm"]
    path = written(tmp_path / "e", collected(machine))
    (tmp_path / "unsigned").write_bytes(strict_json.canonical(machine.document()))
    with pytest.raises(DocumentError) as caught:
        run(machine, path, "--document", f"{tmp_path}/unsigned", *document(tmp_path, machine)[2:])
    assert "tunnel-fleet document --sign" in caught.value.hint


def test_another_nonce_is_refused(fleet: dict[str, FakeMachine], tmp_path: Path) -> None:
    machine = fleet["qemu-tpm"]
    path = written(tmp_path / "evidence", collected(machine))
    for more in (document(tmp_path, machine), []):
        with pytest.raises(EvidenceRefusedError) as caught:
            run(machine, path, *more, "--nonce", "00" * 32)
        assert [check.id for check in caught.value.checks] == ["evidence.nonce"]


def test_a_file_that_claims_another_nonce_does_not_verify(
    fleet: dict[str, FakeMachine], tmp_path: Path
) -> None:
    machine = fleet["azure-snp"]
    value = json.loads(Path(written(tmp_path / "evidence", collected(machine))).read_text())
    (tmp_path / "evidence").write_text(json.dumps(value | {"nonce": "00" * 32}))
    for more in (document(tmp_path, machine), []):
        with pytest.raises(EvidenceRefusedError) as caught:
            run(machine, str(tmp_path / "evidence"), *more, "--nonce", "00" * 32)
        assert {"hcl.user_data", "tpm.qualifying_data"} & {check.id for check in caught.value.checks}


@pytest.mark.parametrize("form", FORMATS)
def test_without_a_document_nobody_accepts(
    fleet: dict[str, FakeMachine], form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = fleet[form]
    path = written(tmp_path / "evidence", collected(machine))
    run(machine, path)
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "accepted by nobody: no fleet document was applied"
    assert "the nonce is the file's own" in out
    run(machine, path, "--json", "--nonce", NONCE.hex())
    said = capsys.readouterr().out.encode()
    answer = schema.read(said, "answer", "examination")
    assert answer["verdict"] == "true_and_not_appraised"
    assert not any("fresh" in line for line in answer["not_proven"])


def test_a_refusal_without_a_document_has_its_checks(
    fleet: dict[str, FakeMachine], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = fleet["gcp-snp"]
    path = written(tmp_path / "evidence", collected(machine, snp={"policy": 0x30000 | 1 << 19}))
    with pytest.raises(EvidenceRefusedError) as caught:
        run(machine, path, "--json")
    assert capsys.readouterr().out == ""  # it is printed with the error, as one
    assert main.report(caught.value, as_json=True) == 10
    answer = schema.read(capsys.readouterr().out.encode(), "answer", "examination")
    assert (answer["ok"], answer["verdict"], answer["best_grade"]) == (False, "refused", "none")
    assert "policy.debug" in {check["id"] for check in answer["checks"]}


def test_bare_evidence_and_parts_are_no_member_s(fleet: dict[str, FakeMachine], tmp_path: Path) -> None:
    machine = fleet["gcp-tdx"]
    made = machine.evidence()
    (tmp_path / "bare").write_bytes(wire.encode(made))
    (tmp_path / "quote").write_bytes(made.parts["td_quote"])
    for source in ([str(tmp_path / "bare")], ["--part", f"td_quote={tmp_path}/quote"]):
        with pytest.raises(EvidenceRefusedError) as caught:
            run(machine, *source, *document(tmp_path, machine))
        assert [check.id for check in caught.value.checks] == ["evidence.challenge"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["FILE", "--part", "td_quote=FILE"],
        ["FILE", "--document", "FILE"],
        ["FILE", "--document", "FILE", "--owner-key", "00" * 32],
        ["FILE", "--document", "FILE", "--owner-key", "00", "--role", "client"],
        [
            "FILE",
            "--document",
            "FILE",
            "--owner-key",
            "00" * 32,
            "--role",
            "client",
            "--at",
            "2026-01-01T00:00:00Z",
        ],
        ["FILE", "--at", "yesterday"],
        ["FILE", "--report-data", "00" * 64],
        ["FILE", "--nonce", "00"],
        ["--part", "td_quote=FILE", "--report-data", "00"],
        ["--part", "td_quote=FILE", "--nonce", "x"],
        ["--part", "nothing=FILE"],
    ],
)
def test_usage_errors(fleet: dict[str, FakeMachine], arguments: list[str], tmp_path: Path) -> None:
    machine = fleet["qemu-tpm"]
    path = written(tmp_path / "evidence", collected(machine))
    with pytest.raises(UsageError):
        run(machine, *[text.replace("FILE", path) for text in arguments])


def test_the_command_knows_hardware_roots_only(
    fleet: dict[str, FakeMachine], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path / "evidence", collected(fleet["azure-snp"]))
    assert main.run(["evidence", "verify", path]) == 10
    assert "hint:" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["verify", "inspect"])
def test_evidence_of_an_unknown_format_is_not_supported(
    tmp_path: Path, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "e").write_bytes(b"CTE1\x06future")
    assert main.run(["evidence", verb, str(tmp_path / "e")]) == 20
    assert "'future'" in capsys.readouterr().err
