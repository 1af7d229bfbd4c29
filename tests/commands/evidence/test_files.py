"""Evidence files: one form, read strictly; options of the form NAME=FILE."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.attestation import model
from runtime.commands.evidence import files
from runtime.errors import MalformedError, UsageError
from tests.commands.evidence.conftest import collected
from tests.fakes import endorsers
from tests.fakes.amd import FakeAmd
from tests.fakes.machines import FakeMachine


def test_what_was_written_is_read(fleet: dict[str, FakeMachine]) -> None:
    for machine in fleet.values():
        one = collected(machine)
        assert files.read(files.write(one)) == one
        assert files.read(model.encode(one.evidence)) == one.evidence


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "other"},
        {"nonce": "00"},
        {"nonce": 7},
        {"settings_sha256": "zz" * 32},
        {"evidence": "!"},
        {"evidence": ""},
        {"spki": 7},
        {"more": 1},
    ],
)
def test_what_is_none_is_malformed(fleet: dict[str, FakeMachine], changes: dict[str, object]) -> None:
    value = json.loads(files.write(collected(fleet["qemu-tpm"]))) | changes
    with pytest.raises(MalformedError):
        files.read(json.dumps(value).encode())


@given(st.binary(max_size=64))
def test_any_bytes_are_evidence_or_our_error(data: bytes) -> None:
    with contextlib.suppress(MalformedError):
        files.read(data)


def test_files_that_cannot_be_read_or_are_too_large(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        files.load(str(tmp_path / "none"))
    (tmp_path / "large").write_bytes(bytes(files.MAX_FILE_SIZE + 1))
    with pytest.raises(UsageError, match="is over"):
        files.load(str(tmp_path / "large"))


def test_named_files(tmp_path: Path, amd: FakeAmd) -> None:
    der = amd.certificate("ark", "Milan")
    (tmp_path / "root.pem").write_bytes(endorsers.pem(der))
    (tmp_path / "bad.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\nx")
    found = files.named([f"root={tmp_path}/root.pem", f"vek={tmp_path}/bad.pem"], files.ENDORSEMENTS, "--x")
    assert found == {"root": der, "vek": b"-----BEGIN CERTIFICATE-----\nx"}
    for wrong in (["root"], ["nothing=x"], [f"root={tmp_path}/root.pem"] * 2):
        with pytest.raises(UsageError, match="NAME=FILE"):
            files.named(wrong, files.ENDORSEMENTS, "--x")


def test_what_a_member_would_show_as_well() -> None:
    assert files.missing_for_members({"nitrotpm_document": b""}) == []
    assert files.missing_for_members({"snp_report": b""}) == []
    assert files.missing_for_members({"td_quote": b""})[1].startswith("gcp-tdx lacks ccel")
    assert files.missing_for_members({"ak_public": b"", "ccel": b""}) == [
        "no format of a member has these parts together"
    ]
    assert files.items({}) == "none"
