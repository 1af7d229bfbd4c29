"""A running fleet from a simulated `up`: scale-out and rollout while visitors ask, and nobody is harmed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.localfleet import change, configurations, ports, provision, rolling
from tests.localfleet.change import Change
from tests.localfleet.configurations import Configuration
from tests.localfleet.fleet import LocalFleet

DRAIN_S = rolling.PATIENCE_S  # no visit lasts longer, so a drain cuts none; it ends when nothing is open


def smaller(fleet: Configuration) -> Configuration:
    """One server, one client: what is shown does not depend on their number."""
    small = change.lively(DRAIN_S)(fleet)
    return small | {"servers": small["servers"][:1], "clients": small["clients"][:1]}


@pytest.mark.integration
@pytest.mark.timeout(500)
async def test_a_scale_out_and_a_rollout_harm_no_visitor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.localfleet.ups.engine", lambda: None)  # the real one has a lane of its own
    said: list[str] = []
    async with change.running(tmp_path, provision.free_ports(), said.append, smaller) as changing:
        fleet = changing.fleet
        assert (list(fleet.servers), fleet.clients) == (["aws-1"], ("client-1",))
        async with changing.visited():
            await changing.grow(2, 2)
            assert await sessions(changing) == pairs(("aws-1", "aws-2"), ("client-1", "client-2"))
            assert fleet.servers == {"aws-1": "127.0.0.11", "aws-2": "127.0.0.12"}
            await changing.roll_out(only_the_first)
            newer = ("aws-1-g2", "aws-2-g2"), ("client-1-g2", "client-2-g2")
            assert await sessions(changing) == pairs(*newer)
        assert set(fleet.members) == {*newer[0], *newer[1]}
        assert len(changing.steps) == 4
        for step in changing.steps:
            assert step.failures == (), str(step)
            assert step.answered > 0, str(step)
        assert any("tunnel-fleet wait" in line for line in said)
        _the_document_holds_the_newer_image_alone(tmp_path, changing)


async def only_the_first(fleet: LocalFleet, name: str) -> None:
    if name == "aws-1-g2":
        assert (await change.attest(fleet, name))["member"] == name


async def sessions(changing: Change) -> set[tuple[str, str]]:
    return {(server, client) for server, client, _ in await changing.fleet.sessions()}


def pairs(servers: tuple[str, ...], clients: tuple[str, ...]) -> set[tuple[str, str]]:
    return {(server, client) for server in servers for client in clients}


def _the_document_holds_the_newer_image_alone(folder: Path, changing: Change) -> None:
    document: dict[str, Any] = json.loads((folder / "fleet.json").read_bytes())
    assert document["version"] == 4
    assert [image["id"] for image in document["images"]] == [configurations.NEXT_VERSION]
    first, last = (step.up for step in (changing.steps[0], changing.steps[-1]))
    older, newer = (provision.measurement(next(iter(up.images.values()))).hex() for up in (first, last))
    assert older != newer
    assert document["images"][0]["measurements"] == {"snp_launch": [newer]}


def test_two_fleets_at_once_are_given_different_ports() -> None:
    names = ["one", "two"]
    first = ports.claim(names, documented=True)
    second = ports.claim(names, documented=True)
    more = second.more(["two", "three"])
    try:
        assert not taken(first) & taken(more)
        assert len(taken(first)) == 7
        assert len(taken(more)) == 8
        assert more.admin["two"] == second.admin["two"]
    finally:
        first.close()
        more.close()


def taken(found: ports.Ports) -> set[int]:
    return {found.dns, found.publisher, found.visitors, found.sessions, found.data, *found.admin.values()}
