"""What a bundle fills in when evidence is verified without a network: only what is missing. It is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from runtime.attestation.endorsements import bundle
from runtime.attestation.endorsements.bundle import Bundle
from runtime.attestation.endorsements.wanted import endorsements_needed
from runtime.attestation.findings import EvidenceRefusedError
from runtime.attestation.wire import Evidence
from runtime.commands.evidence.files import Collected
from runtime.documents import schema
from runtime.errors import MalformedError, UsageError
from tests.commands.evidence.conftest import NONCE, collected, written
from tests.commands.evidence.test_verify import document, run
from tests.fakes import endorsers
from tests.fakes.machines import FakeMachine

TAKEN = "from the bundle, not from the machine: crl, intermediate, root, vek"


def bare_and_bundle(machine: FakeMachine, tmp_path: Path) -> tuple[str, str]:
    """Write evidence as a machine without a network sends it, and the bundle of what it lacks."""
    full = collected(machine)
    have = full.evidence.endorsements
    kept = {name: value for name, value in have.items() if name not in {"vek", "intermediate", "root", "crl"}}
    bare = Evidence(format=full.evidence.format, parts=full.evidence.parts, endorsements=kept)
    bodies = {
        "certificate": have["vek"],
        "crl": have["crl"],
        "chain": endorsers.pem(have["intermediate"], have["root"]),
    }
    wants = [want for want in endorsements_needed(bare) if want.source == "amd_kds"]
    items = {want.key: bodies[want.kind] for want in wants}
    (tmp_path / "bundle").write_bytes(bundle.write(Bundle(made_at=machine.now, items=items)))
    return written(tmp_path / "evidence", Collected(evidence=bare, bound=full.bound)), f"{tmp_path}/bundle"


def test_evidence_without_endorsements_is_accepted_with_the_bundle_and_not_without(
    fleet: dict[str, FakeMachine], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = fleet["gcp-snp"]
    path, held = bare_and_bundle(machine, tmp_path)
    asked = [path, *document(tmp_path, machine), "--nonce", NONCE.hex()]
    with pytest.raises(EvidenceRefusedError) as caught:
        run(machine, *asked)
    assert "endorsements.vek" in {check.id for check in caught.value.checks}
    run(machine, *asked, "--bundle", held)
    assert capsys.readouterr().out.splitlines()[0] == TAKEN
    run(machine, *asked, "--bundle", held, "--json")
    answer = json.loads(capsys.readouterr().out)
    assert (answer["verdict"], answer["from_bundle"]) == ("accepted", ["crl", "intermediate", "root", "vek"])


def test_without_a_document_it_fills_in_as_well(
    fleet: dict[str, FakeMachine], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = fleet["gcp-snp"]
    path, held = bare_and_bundle(machine, tmp_path)
    run(machine, path, "--bundle", held)
    assert capsys.readouterr().out.splitlines()[0] == TAKEN
    run(machine, path, "--bundle", held, "--json")
    answer = schema.read(capsys.readouterr().out.encode(), "answer", "examination")
    assert answer["from_bundle"] == ["crl", "intermediate", "root", "vek"]


def test_what_came_along_stays_and_what_is_not_there_is_said(
    fleet: dict[str, FakeMachine], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = fleet["gcp-snp"]
    path, held = bare_and_bundle(machine, tmp_path)
    whole = written(tmp_path / "whole", collected(machine))
    run(machine, whole, "--bundle", held)
    assert "bundle" not in capsys.readouterr().out
    empty = tmp_path / "empty"
    empty.write_bytes(bundle.write(Bundle(made_at=machine.now, items={})))
    with pytest.raises(EvidenceRefusedError):
        run(machine, path, *document(tmp_path, machine), "--bundle", str(empty))
    assert capsys.readouterr().err.count("tunnel: not in the bundle: ") == 3
    late = replace(machine, now=machine.now + 100 * 365 * 86400)
    with pytest.raises(EvidenceRefusedError):
        run(late, path, *document(tmp_path, machine), "--bundle", held)
    assert "the bundle's ended at" in capsys.readouterr().err


def test_a_bundle_for_parts_or_one_that_is_none(fleet: dict[str, FakeMachine], tmp_path: Path) -> None:
    machine = fleet["gcp-snp"]
    path, held = bare_and_bundle(machine, tmp_path)
    with pytest.raises(UsageError, match="--bundle wants FILE"):
        run(machine, "--part", f"snp_report={path}", "--bundle", held)
    with pytest.raises(MalformedError, match="endorsements bundle"):
        run(machine, path, "--bundle", path)
