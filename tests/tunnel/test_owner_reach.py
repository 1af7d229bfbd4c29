"""An owner reaches real servers, and clients through them; nobody in between answers for anybody."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest

from runtime.attestation.findings import EvidenceRefusedError, Reason
from runtime.channel import session as channel
from runtime.channel.hello import Side
from runtime.channel.party import Party
from runtime.channel.relay_frames import Frame, What
from runtime.channel.relayed import RelayedTransport
from runtime.channel.session import OwnerVisit
from runtime.channel.transport import ChannelTransport
from runtime.errors import PeerError, TunnelError, UnreachableError
from runtime.limits import Limits
from runtime.tunnel import client as client_module
from runtime.tunnel import owner_reach
from runtime.tunnel.client import TunnelClient
from runtime.tunnel.data import Origin
from tests.channel import parties
from tests.fakes.amd import FakeAmd
from tests.localfleet.dns import NameServer
from tests.tunnel.owner_scene import member, owner, status_of
from tests.tunnel.rig import until
from tests.tunnel.small_fleet import NAME, SmallFleet, digest
from tests.web.owner import MALLORY

RECORDS: list[dict[str, Any]] = [{"name": f"{NAME}.", "type": "A", "ttl": 1, "values": ["127.0.0.1"]}]
ROUTES = {"app.test": Origin(kind="tls", host="127.0.0.1", port=9, ssl_context=None)}


@pytest.fixture
def fleet(amd: FakeAmd, monkeypatch: pytest.MonkeyPatch) -> SmallFleet:
    monkeypatch.setattr(client_module, "RETRY_DNS_S", 0.1)
    return SmallFleet(amd)


@contextlib.asynccontextmanager
async def running(fleet: SmallFleet, name: str = "client-1") -> AsyncGenerator[TunnelClient, None]:
    """A server and a client whose session stands."""
    async with (
        NameServer(RECORDS) as names,
        fleet.server() as server,
        fleet.client(names.address, ROUTES, name) as client,
    ):
        await until(lambda: any(status.granted for status in client.status()), 20)
        await until(lambda: bool(server.sessions()), 20)
        yield client


async def test_a_client_is_reached_through_a_server_and_answers_itself(fleet: SmallFleet) -> None:
    async with running(fleet) as client:
        visit, status = await status_of(fleet, "client-1")
        assert status == {"member": "client-1"}
        assert (visit.peer.member, visit.peer.role) == ("client-1", "client")
        assert visit.through is not None
        assert visit.through.member == "server-1"
        visit, status = await status_of(fleet, "server-1")
        assert (visit.through, status) == (None, {"member": "server-1"})
        for _ in range(5):  # nothing of an earlier visit is left
            await status_of(fleet, "client-1")
        assert [status.state for status in client.status()] == ["established"]


async def test_a_client_that_this_server_does_not_know_is_said(fleet: SmallFleet) -> None:
    async with running(fleet):
        with pytest.raises(UnreachableError, match="server-1 has no session with client-2 now"):
            await status_of(fleet, "client-2")


async def test_a_false_owner_gets_no_stream_to_a_client(fleet: SmallFleet) -> None:
    async with running(fleet):
        with pytest.raises(PeerError, match="owner_refused"):
            await status_of(fleet, "client-1", owner(fleet, MALLORY))


async def test_nobody_there_is_unreachable(fleet: SmallFleet) -> None:
    with pytest.raises(UnreachableError, match="did not answer"):
        await status_of(fleet, "server-1")


class LyingServer:
    """A server, a genuine member, that answers the owner's inner connection itself, as `poses`."""

    def __init__(self, party: Party, poses: Party) -> None:
        self._party, self._poses = party, poses
        self.outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def serve(self, wire: ChannelTransport) -> None:
        visit = await channel.accept(
            wire,
            self._party,
            secrets.token_bytes(32),
            meets=(Side.CLIENT, Side.OWNER),
            on_owner=lambda: None,
        )
        assert isinstance(visit, OwnerVisit)
        inner = ChannelTransport(Side.SERVER, self._poses.key, Limits())
        ends: list[RelayedTransport] = []

        def take(frame: Frame) -> None:
            if frame.what is What.OPEN:
                ends.append(
                    RelayedTransport(
                        frame.stream, inner, send=visit.channel.send_frame, peer="x", on_end=lambda: None
                    )
                )
            else:
                ends[0].frame(frame)

        visit.channel.on_frame = take

        async def pose() -> None:
            try:
                await channel.accept(
                    inner, self._poses, secrets.token_bytes(32), meets=(Side.OWNER,), on_owner=lambda: None
                )
                self.outcome.set_result("accepted")
            except TunnelError as error:
                self.outcome.set_result(error.code)

        posing = asyncio.create_task(pose())
        with contextlib.suppress(PeerError):
            await visit.channel.receive()
        await posing


@pytest.mark.parametrize("pose", ["as itself", "with the client's digest", "as another client"])
async def test_a_server_that_answers_for_the_client_is_refused(fleet: SmallFleet, pose: str) -> None:
    server = fleet.party("server-1")
    poses = {
        "as itself": server,
        "with the client's digest": replace(server, side=Side.CLIENT, settings_digest=digest("client-1")),
        "as another client": fleet.party("client-2"),
    }[pose]
    async with parties.listening(server.key) as (port, accepted), asyncio.timeout(30):
        liar = LyingServer(server, poses)

        async def lie() -> None:
            await liar.serve(await accepted.get())

        lying = asyncio.create_task(lie())

        async def never(_visit: owner_reach.Visit) -> None:
            raise AssertionError("an impostor was used")

        with pytest.raises(TunnelError) as caught:
            await owner_reach.visit(owner(fleet), member(fleet, "client-1"), "127.0.0.1", port, never)
        await lying
    assert await liar.outcome != "accepted"
    match pose:
        case "as itself":
            assert caught.value.code == "role"
        case "as another client":
            assert caught.value.code == "other_member"
        case _:
            assert isinstance(caught.value, EvidenceRefusedError)
            assert {Reason.SETTINGS, Reason.INSTANCE} <= caught.value.reasons
