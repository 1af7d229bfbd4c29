"""Rolling restarts of servers and of clients under load: no new connection fails. The long one: make soak."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.localfleet import provision, rolling
from tests.localfleet.fleet import neighbours
from tests.localfleet.provision import CLIENTS, SERVERS


def _quietly(_text: str) -> None: ...


@pytest.mark.integration
@pytest.mark.timeout(240)
async def test_two_restarts_of_servers_and_two_of_clients_and_no_new_connection_fails(tmp_path: Path) -> None:
    made = await provision.provision(tmp_path, rolling.ports(), _quietly, _quietly)
    async with neighbours(made) as fleet:
        await fleet.start()
        for names in (list(SERVERS)[:2], list(CLIENTS)):
            met, drains = await rolling.roll(fleet, names)
            assert met.failures == []
            assert met.answered > 10
            assert len(drains) == 2
