"""Two machines with one member's settings: the one that is there stays; one that is gone makes way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from runtime.channel.boot_key import BootKey
from runtime.channel.session import Session
from runtime.errors import PeerError
from runtime.limits import Limits
from runtime.tunnel.session_messages import Ping
from tests.fakes.amd import FakeAmd
from tests.fakes.fleets import NOW
from tests.tunnel.rig import until
from tests.tunnel.small_fleet import LIMITS, NAME, SmallFleet, say


@pytest.fixture
def fleet(amd: FakeAmd) -> SmallFleet:
    return SmallFleet(amd, limits=replace(LIMITS, ping_s=0.2))


@contextlib.asynccontextmanager
async def pinging(session: Session) -> AsyncGenerator[None, None]:
    async def ping() -> None:
        for n in range(10_000):
            await say(session, Ping(n=n))
            await asyncio.sleep(0.05)

    task = asyncio.create_task(ping())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, PeerError):
            await task


async def test_a_second_machine_is_refused_while_the_first_is_heard(fleet: SmallFleet) -> None:
    async with fleet.server() as server, fleet.session("client-1") as first, pinging(first):
        other = await fleet.dial("client-1", key=BootKey.create(NAME, NOW))
        with pytest.raises(PeerError) as caught:
            async with asyncio.timeout(20):
                await other.receive()
        assert (caught.value.code, caught.value.remote) == ("duplicate_member", True)
        await until(lambda: server.refused == {"duplicate_member": 1}, 20)
        assert [live.session.id for live in server.sessions()] == [first.id]
        other.transport.abort()


async def test_after_a_restart_that_we_did_not_see_the_new_one_takes_over(fleet: SmallFleet) -> None:
    """The older one says nothing: its machine is gone, and we only have not noticed yet."""
    async with (
        fleet.server() as server,
        fleet.session("client-1") as first,
        fleet.session("client-1", key=BootKey.create(NAME, NOW)) as second,
    ):
        await until(lambda: [live.session.id for live in server.sessions()] == [second.id], 20)
        assert first.id != second.id
        assert server.refused == {}


def test_waiting_for_the_older_one_is_shorter_than_its_patience() -> None:
    """Else a restarted member would wait for nothing: by then the older session has ended by itself."""
    assert Limits().ping_s + 1 < Limits().silent_s
