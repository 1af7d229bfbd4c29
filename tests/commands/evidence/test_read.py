"""What `tunnel evidence read` says and writes; test_owner_commands.py runs it between processes."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from runtime.attestation.endorsements import bundle
from runtime.attestation.findings import EvidenceRefusedError
from runtime.commands import endorsements
from runtime.commands.evidence import files, inspect, read, verify
from runtime.commands.evidence.files import Collected
from runtime.errors import UsageError
from runtime.tunnel.owner_reach import Visit
from tests.channel import owners, parties
from tests.channel.owners import MEETS_CLIENT, member, owner
from tests.channel.parties import World
from tests.commands.test_endorsements import SOURCES, Published
from tests.fakes import endorsers
from tests.fakes.amd import FakeAmd
from tests.fakes.fleets import NOW
from tests.web.owner import PUBLIC, signed


def visited(world: World, name: str = "client-1") -> Visit:
    """Visit a member; the verbs start loops of their own."""
    return asyncio.run(_visited(world, name))


@pytest.fixture
def world(amd: FakeAmd) -> World:
    return parties.world(amd)


async def _visited(world: World, name: str) -> Visit:
    """Visit a member as its owner, over loopback; a client as if through server-1."""
    through, _ = await owners.meet(owner(world), member(world, "server-1"), world.server)
    reached = cast("Any", through)
    if name == "client-1":
        met, _ = await owners.meet(owner(world), member(world, name), world.client, MEETS_CLIENT)
        reached = cast("Any", met)
    made: Any = SimpleNamespace(
        address="127.0.0.1",
        through=cast("Any", through).peer,
        peer=reached.peer,
        peer_hello=reached.peer_hello,
        shown=reached.shown,
    )
    return cast("Visit", made)


def test_the_answer_says_who_through_whom_and_what_was_measured(world: World) -> None:
    visit = visited(world, "server-1")
    answer = read._answer(visit, "", None)
    assert answer["through"] == {"member": "server-1", "grade": "T"}
    assert answer["member_document"] == {
        "version": 1,
        "sha256": visit.peer_hello.document_digest.hex(),
    }
    assert (answer["member"], answer["grade"]) == ("server-1", "T")
    assert answer["statements"]
    assert not {"warning", "file"} & set(answer)
    assert read._answer(visit, "older", None)["warning"] == "older"


def appraise(world: World, path: str, tmp_path: Path, role: str, *more: str) -> None:
    """Hold the file against the signed document, as the owner would later."""
    (tmp_path / "fleet.signed.json").write_bytes(signed(world.payload))
    parser = argparse.ArgumentParser()
    verify.add_arguments(parser)
    document = ["--document", f"{tmp_path}/fleet.signed.json", "--owner-key", PUBLIC.hex(), "--role", role]
    verify.verb(parser.parse_args([path, *document, *more]), world.amd.roots(), NOW)


def test_what_was_written_verifies_and_makes_a_bundle(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "client-1.json")
    said = read._write(path, visited(world))
    data = Path(path).read_bytes()
    assert (said["path"], said["sha256"]) == (path, hashlib.sha256(data).hexdigest())

    appraise(world, path, tmp_path, "client", "--nonce", said["nonce"], "--json")
    answer = json.loads(capsys.readouterr().out)
    assert (answer["member"], answer["role"], answer["fresh"]) == ("client-1", "client", True)
    assert any("asked by" in line and "an owner" in line for line in inspect.render(inspect.look(data)))

    parser = argparse.ArgumentParser()
    endorsements.add_arguments(parser)
    made = parser.parse_args(["bundle", "--evidence", path, "--out", f"{tmp_path}/bundle.json"])
    # The simulated chip of this member, as AMD would publish it.
    published = Published(endorsers.kds(world.amd.chip("client-1", "Turin")))
    endorsements.make(made, published, world.amd.roots(), NOW, SOURCES)
    assert len(bundle.read((tmp_path / "bundle.json").read_bytes()).items) == 3
    checking = parser.parse_args(["check", f"{tmp_path}/bundle.json", "--evidence", path])
    endorsements.check(checking, world.amd.roots(), NOW)


def test_a_file_whose_connection_was_changed_is_refused(world: World, tmp_path: Path) -> None:
    """Whoever hands the file on cannot make it speak of another connection, key, member or nonce."""
    path = tmp_path / "evidence"
    read._write(str(path), visited(world))
    whole = json.loads(path.read_bytes())
    zero = "00" * 32
    for name, value in {
        "transcript": zero,
        "exporter": zero,
        "nonce": zero,
        "settings_sha256": world.server.settings_digest.hex(),
        "spki": whole["owner_spki"],
        "owner_spki": whole["spki"],
    }.items():
        path.write_text(json.dumps(whole | {name: value}))
        with pytest.raises(EvidenceRefusedError):
            appraise(world, str(path), tmp_path, "client")
    path.write_text(json.dumps(whole))
    with pytest.raises(EvidenceRefusedError) as caught:
        appraise(world, str(path), tmp_path, "client", "--nonce", zero)
    assert [check.id for check in caught.value.checks] == ["evidence.nonce"]


def test_a_file_that_exists_stays_and_nobody_is_asked(world: World, tmp_path: Path) -> None:
    path = tmp_path / "evidence"
    path.write_bytes(b"of yesterday")
    parser = argparse.ArgumentParser()
    read.add_arguments(parser)
    asked = parser.parse_args(
        ["client-1", "--document", "/nonexistent", "--owner-key", "/nonexistent", "--out", str(path)]
    )
    with pytest.raises(UsageError, match="exists"):
        read.verb(asked, world.amd.roots())  # before the document, the key, or any server
    with pytest.raises(UsageError, match="exists"):
        read._write(str(path), visited(world))  # it came into being meanwhile
    assert path.read_bytes() == b"of yesterday"


def test_the_evidence_written_is_the_evidence_that_was_accepted(world: World, tmp_path: Path) -> None:
    visit = visited(world)
    read._write(str(tmp_path / "evidence"), visit)
    found = files.read((tmp_path / "evidence").read_bytes())
    assert isinstance(found, Collected)
    assert found.bound == visit.shown.bound
    assert found.bound.binder[:4] != bytes(4)
