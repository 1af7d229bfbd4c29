"""`tunnel status` and `tunnel evidence read` on a fleet of real processes, as an owner runs them."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from infra import owner_key
from runtime import config
from runtime.attestation.endorsements import bundle
from runtime.clock import TrustedClock
from runtime.commands import endorsements
from tests.attestation.endorsements import machines
from tests.commands.test_endorsements import SOURCES, Published
from tests.fakes import endorsers
from tests.fakes.amd import Chip
from tests.localfleet import processes, provision
from tests.localfleet.demo import owner_arguments
from tests.localfleet.fleet import LocalFleet, neighbours
from tests.localfleet.member import Simulation
from tests.localfleet.provision import SERVERS, SITE

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


def _quietly(_: str) -> None:
    return


async def tunnel(verb: str, *arguments: str) -> tuple[int, str, str]:
    """Run one of the owner's commands under the demo's throw-away root."""
    async with asyncio.timeout(90):
        return await processes.ask("-m", "tests.localfleet", verb, *arguments)


async def asked(verb: str, fleet: LocalFleet, name: str, *more: str) -> dict[str, Any]:
    status, answer, story = await tunnel(verb, *owner_arguments(fleet.made, name), *more, "--json")
    assert status == 0, story
    found: dict[str, Any] = json.loads(answer)
    return found


async def test_an_owner_asks_a_server_and_a_client_and_nobody_else_gets_an_answer(tmp_path: Path) -> None:
    made = await provision.provision(tmp_path, provision.free_ports(), _quietly, _quietly)
    async with neighbours(made) as fleet:
        await fleet.start()
        await asyncio.gather(_a_server(fleet), _a_client(fleet))
        await _a_file_of_a_client(fleet, tmp_path)
        await asyncio.gather(_a_false_owner(fleet, tmp_path), _another_server(fleet), _hardware_roots(fleet))
        assert len(await fleet.sessions()) == 6  # nobody noticed


async def _a_server(fleet: LocalFleet) -> None:
    found = await asked("evidence-read", fleet, "gcp-1")
    assert (found["member"], found["role"], found["grade"]) == ("gcp-1", "server", "T")
    assert (found["address"], found["through"]) == (SERVERS["gcp-1"], None)  # found among three in DNS
    assert {statement["measured_by"] for statement in found["statements"]}
    assert found["member_document"]["version"] == found["document_version"]
    told = (await asked("status", fleet, "gcp-1"))["status"]
    assert (told["member"], told["role"]) == ("gcp-1", "server")
    assert {one["member"] for one in told["sessions"]} == {"client-1", "client-2"}
    for one in told["sessions"]:
        assert (one["grade"], one["granted"]) == ("T", [SITE])
        assert one["age_s"] > 0
    assert told["fleet_document"]["sha256"] == found["member_document"]["sha256"]
    assert told["uptime_s"] > 0


async def _a_client(fleet: LocalFleet) -> None:
    through = f"{SERVERS['azure-1']}:{fleet.made.ports.sessions}"
    answer = await asked("status", fleet, "client-1", "--address", through)
    assert answer["through"] == {"member": "azure-1", "grade": "T"}
    told = answer["status"]
    assert (told["member"], told["role"]) == ("client-1", "client")
    assert {one["member"] for one in told["sessions"]} == set(SERVERS)
    status, text, story = await tunnel("evidence-read", *owner_arguments(fleet.made, "client-1"))
    assert status == 0, story
    assert "is member client-1 (client), sev-snp, grade T" in text
    assert "measured by" in text


async def _a_file_of_a_client(fleet: LocalFleet, folder: Path) -> None:
    """A client's evidence as a file: the other commands read it, and a bundle is made for it."""
    path = folder / "client-2.evidence.json"
    said = await asked("evidence-read", fleet, "client-2", "--out", str(path))
    data = path.read_bytes()
    assert (said["member"], said["file"]["path"]) == ("client-2", str(path))
    assert said["file"]["sha256"] == hashlib.sha256(data).hexdigest()
    arguments = owner_arguments(fleet.made, "client-2")
    status, _, story = await tunnel("evidence-read", *arguments, "--out", str(path))
    assert status == 2, story
    assert "exists" in story
    assert path.read_bytes() == data

    document = ("--document", str(fleet.made.envelope), "--owner-key", fleet.made.owner_key)
    simulated = ("--simulation", str(fleet.made.simulations["client-2"]))
    nonce = ("--nonce", said["file"]["nonce"])
    status, answer, story = await tunnel(
        "evidence-verify", str(path), *document, "--role", "client", *nonce, "--json", *simulated
    )
    assert status == 0, story
    assert (json.loads(answer)["member"], json.loads(answer)["fresh"]) == ("client-2", True)

    chip = Chip.load(Simulation.read(fleet.made.simulations["client-2"]).chip)
    parser = argparse.ArgumentParser()
    endorsements.add_arguments(parser)
    made = parser.parse_args(["bundle", "--evidence", str(path), "--out", str(folder / "bundle.json")])
    published = Published(endorsers.kds(chip))
    now = TrustedClock(config.BUILD_TIME).now()
    await asyncio.to_thread(endorsements.make, made, published, machines.roots(chip), now, SOURCES)
    assert len(bundle.read((folder / "bundle.json").read_bytes()).items) == 3


async def _a_false_owner(fleet: LocalFleet, folder: Path) -> None:
    """The document is genuine and he has it; the key is his own."""
    owner_key.create(folder / "mallory.key")
    stolen = [
        str(folder / "mallory.key") if argument.endswith("owner.key") else argument
        for argument in owner_arguments(fleet.made, "gcp-1")
    ]
    status, answer, story = await tunnel("status", *stolen, "--signed-by", fleet.made.owner_key)
    assert (status, answer) == (2, "")
    assert "does not know this owner's key" in story


async def _another_server(fleet: LocalFleet) -> None:
    elsewhere = f"{SERVERS['azure-1']}:{fleet.made.ports.sessions}"
    status, _, story = await tunnel("status", *owner_arguments(fleet.made, "gcp-1"), "--address", elsewhere)
    assert status == 30
    assert "member azure-1 answered, want gcp-1" in story


async def _hardware_roots(fleet: LocalFleet) -> None:
    """The command itself knows hardware roots only: it refuses a simulated TEE under any document."""
    arguments = owner_arguments(fleet.made, "gcp-1")[:-2]
    async with asyncio.timeout(90):
        status, _, story = await processes.ask("-m", "runtime.commands.main", "evidence", "read", *arguments)
    assert status == 10, story
