"""The local fleet runs from what the real engine's `up` put out, as it does from a simulated one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.localfleet import provision, rolling
from tests.localfleet.fleet import neighbours
from tests.localfleet.provision import CLIENTS, SERVERS

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


async def test_the_fleet_runs_from_the_real_up(
    pulumi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_BINARY", str(pulumi))
    said: list[str] = []
    made = await provision.provision(tmp_path, rolling.ports(), said.append, lambda _text: None)
    assert any("real Pulumi engine" in line for line in said)
    state = json.loads((tmp_path / "up" / "outputs.json").read_bytes())
    assert {member["name"] for member in state["fleetDocument"]["members"]} == {*SERVERS, *CLIENTS}
    async with neighbours(made) as fleet:
        await fleet.start()
        sessions = await fleet.sessions()
        assert sorted((server, client) for server, client, _ in sessions) == sorted(
            (server, client) for server in SERVERS for client in CLIENTS
        )
        assert {grade for _, _, grade in sessions} == {"T"}
        even = await fleet.crowd.ask_each_on_its_own_connection(60)
        assert even.failed == 0
