"""Owners at a real server: who gets in, who has to go, and that members do not notice."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncGenerator

import pytest

from runtime.channel import relay_frames, transport
from runtime.channel.boot_key import BootKey
from runtime.channel.hello import Format, Hello, Side, encode
from runtime.channel.messages import Kind, Message
from runtime.channel.relay_frames import Frame, Reason, What
from runtime.channel.transport import ChannelTransport
from runtime.errors import PeerError
from runtime.limits import Limits
from runtime.tunnel import session_messages
from runtime.tunnel.server import TunnelServer
from runtime.tunnel.session_messages import Offer, Ping, Pong
from tests.fakes.amd import FakeAmd
from tests.fakes.fleets import NOW
from tests.tunnel import owner_scene
from tests.tunnel.owner_scene import at_server, owner, status_of
from tests.tunnel.rig import until
from tests.tunnel.small_fleet import SmallFleet, hear, say
from tests.web.owner import MALLORY

PER_ADDRESS = Limits().owners_proving_per_address


@pytest.fixture
def fleet(amd: FakeAmd) -> SmallFleet:
    return SmallFleet(amd)


@pytest.fixture
async def server(fleet: SmallFleet) -> AsyncGenerator[TunnelServer, None]:
    async with fleet.server() as running:
        yield running


async def say_owner(fleet: SmallFleet) -> ChannelTransport:
    """Connect, say that we are the owner, and leave it at that."""
    wire = await transport.connect("127.0.0.1", fleet.sessions_port, BootKey.create("owner", NOW), Limits())
    document = fleet.documents.current().document
    hello = Hello(
        side=Side.OWNER,
        epoch=0,
        nonce=secrets.token_bytes(32),
        time=NOW,
        document_version=document.version,
        document_digest=document.digest,
        settings_digest=bytes(32),
        formats=tuple(Format),
    )
    await wire.send(Message(Kind.HELLO, encode(hello)))
    return wire


async def test_an_owner_gets_the_status_and_no_session(fleet: SmallFleet, server: TunnelServer) -> None:
    visit, status = await status_of(fleet, "server-1")
    assert (visit.peer.member, visit.through, status) == ("server-1", None, {"member": "server-1"})
    assert not server.sessions()
    assert not server.refused
    await until(lambda: server.owners.visits == 0)


async def test_false_owners_keep_out_neither_the_owner_nor_a_member(
    fleet: SmallFleet, server: TunnelServer
) -> None:
    async with fleet.session("client-2") as member:
        false = [await say_owner(fleet) for _ in range(3 * PER_ADDRESS)]
        await until(lambda: server.refused.get("owner_displaced") == 2 * PER_ADDRESS)
        assert server.owners.proving == PER_ADDRESS
        assert len(server._unconfirmed) == 0  # they take no place of a member
        _, status = await status_of(fleet, "server-1")  # the real one, from the very same address
        assert status == {"member": "server-1"}
        async with fleet.session("client-1"):
            assert len(server.sessions()) == 2
        await say(member, Ping(n=1))
        assert await hear(member) == Pong(n=1)
        for wire in false:
            wire.abort()
        await until(lambda: server.owners.proving == 0)


async def test_a_false_owner_is_refused_and_counted(fleet: SmallFleet, server: TunnelServer) -> None:
    with pytest.raises(PeerError) as caught:
        await status_of(fleet, "server-1", owner(fleet, MALLORY))
    assert (caught.value.code, caught.value.remote) == ("owner_refused", True)
    await until(lambda: server.refused == {"owner_refused": 1})
    assert server.owners.visits == 0


async def test_an_owner_that_offers_joins_or_attests_again_is_closed_and_grants_nothing(
    fleet: SmallFleet, server: TunnelServer
) -> None:
    offer = session_messages.encode(Offer(hostnames=("app.test",)))
    hello = Message(Kind.HELLO, b"x" * 100)
    for message in (offer, {"kind": "join"}, hello):
        async with at_server(fleet) as reached, asyncio.timeout(20):
            if isinstance(message, Message):
                await reached.channel.transport.send(message)
            else:
                await reached.channel.send(message)
            with pytest.raises(PeerError):
                await reached.channel.receive()
        assert not server.sessions()
    await until(lambda: server.owners.visits == 0)


async def test_the_newest_of_too_many_owners_comes_in(amd: FakeAmd, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    fleet = SmallFleet(amd, limits=Limits(max_owners=2))
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(fleet.server())
        first = await stack.enter_async_context(at_server(fleet))
        for _ in range(2):
            await stack.enter_async_context(at_server(fleet))
        async with asyncio.timeout(20):
            with pytest.raises(PeerError):
                await first.channel.receive()
        await until(lambda: server.owners.visits == 2)
        assert server.refused == {"owner_displaced": 1}
    left = [record for record in caplog.records if record.message == "an owner left"]
    assert left[0].__dict__["fields"]["reason"] == "owner_displaced"


async def test_an_owner_that_lies_about_credit_is_closed_and_the_client_lives_on(
    fleet: SmallFleet, server: TunnelServer
) -> None:
    async with fleet.session("client-1") as client, at_server(fleet) as reached, asyncio.timeout(20):
        reached.channel.send_frame(Frame(What.OPEN, 1, b"client-1"))
        frames: list[Frame] = []
        client.on_frame = frames.append
        for _ in range(relay_frames.CREDIT // relay_frames.MAX_DATA + 1):
            reached.channel.send_frame(Frame(What.DATA, 1, bytes(relay_frames.MAX_DATA)))
        with pytest.raises(PeerError):
            await reached.channel.receive()
        await say(client, Ping(n=3))
        assert await hear(client) == Pong(n=3)
        assert sum(len(frame.body) for frame in frames if frame.what is What.DATA) <= relay_frames.CREDIT
        # What the client said last and what the server told it cross: it may take another message.
        while not frames or frames[-1].what is not What.CLOSE:
            await say(client, Ping(n=4))
            await hear(client)
        assert frames[-1] == relay_frames.close(1, Reason.GONE)
        assert len(server.sessions()) == 1


async def test_a_client_that_breaks_the_relays_rules_ends_alone(
    fleet: SmallFleet, server: TunnelServer
) -> None:
    async with fleet.session("client-1") as bad, fleet.session("client-2") as good:
        bad.send_frame(Frame(What.DATA, 7, b"x"))
        async with asyncio.timeout(20):
            with pytest.raises(PeerError):
                await bad.receive()
        await say(good, Ping(n=1))
        assert await hear(good) == Pong(n=1)
        assert [live.session.peer.member for live in server.sessions()] == ["client-2"]


async def test_a_server_that_is_named_but_lives_elsewhere_gets_no_signature(
    fleet: SmallFleet, server: TunnelServer
) -> None:
    with pytest.raises(PeerError, match="server-1 answered, want server-2"):
        await status_of(fleet, "server-2")
    assert owner_scene.member(fleet, "server-2").role == "server"
    assert server.owners.visits == 0
