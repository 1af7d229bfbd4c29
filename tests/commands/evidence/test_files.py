"""Evidence files: one form, read strictly; options of the form NAME=FILE."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.attestation import wire
from runtime.attestation.binding import Direction, Label
from runtime.attestation.findings import EvidenceRefusedError, Reason
from runtime.attestation.tees import TEES
from runtime.channel.bound import Bound
from runtime.commands.evidence import files
from runtime.commands.evidence.files import Collected
from runtime.errors import MalformedError, UsageError
from tests.commands.evidence.conftest import collected
from tests.fakes import endorsers
from tests.fakes.amd import FakeAmd
from tests.fakes.machines import SETTINGS, FakeMachine


def test_what_was_written_is_read(fleet: dict[str, FakeMachine]) -> None:
    for machine in fleet.values():
        one = collected(machine)
        assert files.read(files.write(one)) == one
        assert files.read(wire.encode(one.evidence)) == one.evidence


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


def owners(machine: FakeMachine) -> Collected:
    """Return what an owner would have read of this machine."""
    bound = Bound(
        label=Label.OWNER,
        direction=Direction.MEMBER_TO_OWNER,
        epoch=0,
        transcript=b"\1" * 32,
        exporter=b"\2" * 32,
        spki_attester=b"the member's key",
        spki_verifier=b"the owner's key of that run",
        verifier_nonce=b"\3" * 32,
        settings_digest=SETTINGS,
    )
    return Collected(evidence=machine.evidence(bound.binder), bound=bound)


def test_what_an_owner_read_is_read_again(fleet: dict[str, FakeMachine]) -> None:
    for machine in fleet.values():
        one = owners(machine)
        assert files.read(files.write(one)) == one


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": files.KIND},  # the connection's members have no place there
        {"transcript": "00"},
        {"exporter": None},
        {"owner_spki": ""},
        {"owner_spki": "!"},
        {"spki": ""},
        {"more": 1},
    ],
)
def test_a_file_of_an_owner_says_its_connection_or_is_none(
    fleet: dict[str, FakeMachine], changes: dict[str, object]
) -> None:
    value = json.loads(files.write(owners(fleet["qemu-tpm"]))) | changes
    with pytest.raises(MalformedError):
        files.read(json.dumps(value).encode())
    value = json.loads(files.write(collected(fleet["qemu-tpm"]))) | {"kind": files.OWNER_KIND}
    with pytest.raises(MalformedError):
        files.read(json.dumps(value).encode())


def test_evidence_for_an_owner_does_not_pass_for_another_use(fleet: dict[str, FakeMachine]) -> None:
    """The same nonce, key and settings, but another label: the file cannot be turned into the other kind."""
    machine = fleet["qemu-tpm"]
    one = owners(machine)
    value = json.loads(files.write(one))
    for name in ("owner_spki", "transcript", "exporter"):
        del value[name]
    turned = files.read(json.dumps(value | {"kind": files.KIND}).encode())
    assert isinstance(turned, Collected)
    with pytest.raises(EvidenceRefusedError) as caught:
        TEES[turned.evidence.format].verify(turned.evidence, turned.bound.binder, machine.roots, machine.now)
    assert Reason.BINDING in caught.value.reasons


def test_a_file_that_was_cut_short_is_none(fleet: dict[str, FakeMachine]) -> None:
    for whole in (files.write(owners(fleet["qemu-tpm"])), files.write(collected(fleet["qemu-tpm"]))):
        for length in range(len(whole) - 1):  # the last byte is the end of the line
            with pytest.raises(MalformedError):
                files.read(whole[:length])


def test_a_file_is_written_once_and_never_over_another(tmp_path: Path) -> None:
    path = tmp_path / "evidence"
    files.want_new(str(path))
    files.save(str(path), b"first")
    with pytest.raises(UsageError, match="exists") as caught:
        files.want_new(str(path))
    assert caught.value.hint
    with pytest.raises(UsageError, match="exists"):
        files.save(str(path), b"second")
    assert path.read_bytes() == b"first"
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="exists"):
        files.save(str(tmp_path / "link"), b"second")
    assert not (tmp_path / "elsewhere").exists()
    with pytest.raises(UsageError, match="cannot be written"):
        files.save(str(tmp_path / "no" / "file"), b"")


def test_a_disk_that_is_full_leaves_no_half_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="No space left"):
        files.save(str(tmp_path / "evidence"), b"half")
    assert list(tmp_path.iterdir()) == []


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
    future = der.replace(
        b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x05", 1
    )  # X.509 version 6, which nobody has
    assert future != der
    (tmp_path / "v6.pem").write_bytes(endorsers.pem(future))
    assert files.named([f"vek={tmp_path}/v6.pem"], files.ENDORSEMENTS, "--x") == {
        "vek": endorsers.pem(future)
    }
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
