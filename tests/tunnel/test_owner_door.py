"""The client's end of relayed streams: what a hostile server can make of them, and what it cannot."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import pytest

from runtime.channel import relay_frames, transport
from runtime.channel import session as channel
from runtime.channel.hello import Side
from runtime.channel.relay_frames import Frame, Reason, What
from runtime.channel.relayed import RelayedTransport
from runtime.channel.session import Reached, Session
from runtime.channel.transport import ChannelTransport
from runtime.errors import PeerError
from runtime.limits import Limits
from runtime.tunnel import owner_reach
from runtime.tunnel.owner_door import OwnerDoor
from tests.channel import owners, parties
from tests.channel.owners import member
from tests.channel.parties import World
from tests.fakes.amd import FakeAmd
from tests.tunnel.rig import until
from tests.web.owner import MALLORY


@dataclass
class Scene:
    """A server by hand, and a client with its door."""

    world: World
    server: Session
    client: Session
    door: OwnerDoor
    frames: list[Frame] = field(default_factory=list)

    def say(self, frame: Frame) -> None:
        self.server.send_frame(frame)

    def reach(self, stream: int) -> tuple[ChannelTransport, RelayedTransport]:
        """Open a stream as the server, and return the end that an owner, or who says so, uses."""
        self.say(Frame(What.OPEN, stream))
        who = owners.owner(self.world)
        inner = ChannelTransport(Side.CLIENT, who.key, Limits())
        end = RelayedTransport(stream, inner, send=self.server.send_frame, peer="client-1", on_end=_nothing)
        before = self.server.on_frame
        assert before is not None

        def take(frame: Frame) -> None:
            (end.frame if frame.stream == stream else before)(frame)

        self.server.on_frame = take
        return inner, end


def _nothing() -> None:
    return


@pytest.fixture(scope="module")
def world(amd: FakeAmd) -> World:
    return parties.world(amd)


@pytest.fixture
async def scene(world: World) -> AsyncGenerator[Scene, None]:
    async with parties.listening(world.server.key) as (port, accepted):
        wire = await transport.connect("127.0.0.1", port, world.client.key, Limits())
        client, server = await asyncio.gather(
            channel.establish(wire, world.client, b"\x01" * 32),
            channel.establish(await accepted.get(), world.server, b"\x02" * 32),
        )
        door = OwnerDoor(session=client, party=world.client, status=lambda: {"member": "client-1"})
        made = Scene(world, server, client, door)
        server.on_frame = made.frames.append
        tasks = [
            asyncio.create_task(one)
            for one in (door.run(), _read(client), _read(server))  # as a supervisor and a server do
        ]
        try:
            yield made
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            wire.abort()


async def _read(session: Session) -> None:
    with contextlib.suppress(PeerError):
        await session.receive()
    session.transport.close()


async def test_an_owner_inside_the_stream_is_answered_by_the_client_itself(scene: Scene) -> None:
    inner, _ = scene.reach(1)
    async with asyncio.timeout(20):
        reached = await channel.reach(
            inner, owners.owner(scene.world), member(scene.world, "client-1"), b"\x05" * 32
        )
        assert isinstance(reached, Reached)
        assert reached.peer.member == "client-1"
        assert await owner_reach.ask_status(reached.channel) == {"member": "client-1"}
    inner.close()
    await until(lambda: not scene.door._streams)


async def test_a_server_that_has_no_owners_key_gets_nothing_and_costs_no_evidence(
    world: World, scene: Scene
) -> None:
    party, attester = owners.recorded(world.client)
    scene.door._party = party
    inner, _ = scene.reach(1)
    async with asyncio.timeout(20):
        with pytest.raises(PeerError, match="owner_refused"):
            await channel.reach(inner, owners.owner(world, MALLORY), member(world, "client-1"), b"\x05" * 32)
    assert attester.asked == []
    await until(lambda: not scene.door._streams)


async def test_a_server_cannot_run_its_own_session_inside_the_stream(world: World, scene: Scene) -> None:
    """A member's handshake, genuine in every part, where only an owner is met."""
    scene.say(Frame(What.OPEN, 1))
    inner = ChannelTransport(Side.CLIENT, world.client.key, Limits())
    end = RelayedTransport(1, inner, send=scene.server.send_frame, peer="client-1", on_end=_nothing)
    scene.server.on_frame = end.frame
    async with asyncio.timeout(20):
        with pytest.raises(PeerError, match="role") as caught:
            await channel.establish(inner, world.client, b"\x05" * 32)
    assert caught.value.remote  # the client said so, before a hello of its own


async def test_streams_that_prove_nothing_make_room_for_the_owner(
    scene: Scene,
) -> None:
    scene.door._most = 2
    for stream in (1, 2, 3):
        scene.say(Frame(What.OPEN, stream))
    await until(lambda: relay_frames.close(1, Reason.DONE) in scene.frames)
    inner, _ = scene.reach(4)
    async with asyncio.timeout(20):
        reached = await channel.reach(
            inner, owners.owner(scene.world), member(scene.world, "client-1"), b"\x05" * 32
        )
        assert await owner_reach.ask_status(reached.channel) == {"member": "client-1"}
    assert len(scene.door._streams) == 2


async def test_when_all_who_are_there_have_proved_it_one_more_is_told_that_it_is_busy(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="tunnel.owner")
    scene.door._most = 1
    inner, _ = scene.reach(1)
    async with asyncio.timeout(20):
        await channel.reach(inner, owners.owner(scene.world), member(scene.world, "client-1"), b"\x05" * 32)
        await until(lambda: not scene.door._unproven)
        scene.server.on_frame = scene.frames.append
        scene.say(Frame(What.OPEN, 2))
        await until(lambda: relay_frames.close(2, Reason.BUSY) in scene.frames)
    reasons = [r.__dict__["fields"].get("reason") for r in caplog.records if r.message == "owner refused"]
    assert reasons == ["owner_door_busy"]
    assert list(scene.door._streams) == [1]


@pytest.mark.parametrize(
    "frames",
    [
        [Frame(What.DATA, 1, b"x")],
        [relay_frames.close(9, Reason.DONE)],
        [Frame(What.OPEN, 1, b"client-1")],
        [Frame(What.OPEN, 2), Frame(What.OPEN, 2)],
        [Frame(What.OPEN, 2), Frame(What.OPEN, 1)],
        [Frame(What.OPEN, 1), relay_frames.window(1, 1)],
    ],
)
async def test_a_server_that_breaks_the_rules_loses_the_session(scene: Scene, frames: list[Frame]) -> None:
    with contextlib.suppress(PeerError):
        for frame in frames:
            scene.say(frame)
    async with asyncio.timeout(20):
        await scene.client.transport.closed


async def test_when_the_session_ends_its_owners_do(world: World, scene: Scene) -> None:
    inner, _ = scene.reach(1)
    async with asyncio.timeout(20):
        reached = await channel.reach(inner, owners.owner(world), member(world, "client-1"), b"\x05" * 32)
        scene.client.transport.abort()
        await scene.server.transport.closed
        with pytest.raises(PeerError):
            await owner_reach.ask_status(reached.channel)
