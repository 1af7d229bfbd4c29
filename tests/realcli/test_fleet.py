"""The local fleet runs from what the real engine's `up` put out, and is changed by further ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.localfleet import change, provision, rolling
from tests.localfleet.program import Program
from tests.localfleet.provision import CLIENTS, SERVERS
from tests.localfleet.ups import Up
from tests.realcli.conftest import timeless

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore:.*has been deprecated in favor of:DeprecationWarning"),
]

GROWN = (4, 3)  # `make change` grows to 6 and 4
DRAIN_S = rolling.PATIENCE_S  # no visit lasts longer, so a drain cuts none; it ends when nothing is open


async def test_the_fleet_runs_from_the_real_up_and_is_changed_without_harm(
    pulumi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_BINARY", str(pulumi))
    said: list[str] = []
    ports, edit = provision.free_ports(), change.lively(DRAIN_S)
    async with change.running(tmp_path, ports, said.append, edit) as changing:
        fleet = changing.fleet
        first = fleet.made.up
        assert (fleet.servers, fleet.clients) == (SERVERS, CLIENTS)
        sessions = await fleet.sessions()
        assert sorted((server, client) for server, client, _ in sessions) == sorted(
            (server, client) for server in SERVERS for client in CLIENTS
        )
        assert {grade for _, _, grade in sessions} == {"T"}
        even = await fleet.crowd.ask_each_on_its_own_connection(60)
        assert even.failed == 0
        async with changing.visited():
            await changing.grow(*GROWN)
            await changing.roll_out(change.attest)
        assert all(name.endswith("-g2") for name in fleet.members)
        assert (len(fleet.servers), len(fleet.clients)) == GROWN
        for step in changing.steps:
            assert step.failures == (), str(step)
            assert step.answered > 0, str(step)
    assert sum("real Pulumi engine" in line for line in said) == 1 + len(changing.steps) == 5
    await _as_local_mock_mode([first, *(step.up for step in changing.steps)], tmp_path)


async def _as_local_mock_mode(every: list[Up], folder: Path) -> None:
    """Hold each `up` of the engine against the simulated one of the same configuration."""
    async with Program() as program:
        for number, up in enumerate(every, 1):
            config, out = folder / f"fleet-config-{number}.json", folder / f"simulated-{number}"
            await program.command("simulate", "--stack", "local", "--config", str(config), "--out", str(out))
            told = Up(configuration=up.configuration, folder=out, tree="")
            assert timeless(up.outputs) == timeless(told.outputs)
            assert up.members == told.members
            for name in up.members:
                assert up.settings(name).read_bytes() == told.settings(name).read_bytes()
