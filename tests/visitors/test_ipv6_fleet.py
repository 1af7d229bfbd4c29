"""A client that finds its server under an AAAA record: session, data connection and visitors over ::1."""

from __future__ import annotations

import asyncio

import pytest

from runtime.tunnel import client as module
from runtime.tunnel.data import Origin
from tests.fakes.amd import FakeAmd
from tests.localfleet.dns import NameServer
from tests.tunnel.rig import echo, until
from tests.tunnel.small_fleet import NAME, SmallFleet, is_served
from tests.tunnel.test_client import ssl_of_the_origin

pytestmark = pytest.mark.integration


async def test_every_hop_over_ipv6(amd: FakeAmd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESOLVE_AT_LEAST_EVERY_S", 0.1)
    fleet = SmallFleet(amd)
    origin = await asyncio.start_server(echo, "::1", 0, ssl=ssl_of_the_origin())
    port = origin.sockets[0].getsockname()[1]
    routes = {"app.test": Origin(kind="tls", host="::1", port=port, ssl_context=None)}
    records = [{"name": f"{NAME}.", "type": "AAAA", "ttl": 1, "values": ["::1"]}]
    async with (
        origin,
        NameServer(records) as names,
        fleet.server("server-1", "::1") as server,
        fleet.client(names.address, routes) as client,
    ):
        await until(lambda: client.is_ready(), 30)
        assert [status.address for status in client.status()] == ["::1"]
        async with asyncio.timeout(30):
            while not await is_served(server, "app.test", "::1"):
                pass
