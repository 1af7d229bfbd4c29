"""A channel over a relayed stream: whole, in any order of frames, and within its credit."""

from __future__ import annotations

import asyncio
from collections import deque

import pytest

from runtime.channel import relay_frames
from runtime.channel.hello import Side
from runtime.channel.relay_frames import CREDIT, MAX_DATA, Frame, Reason, What
from runtime.channel.relayed import RelayedTransport
from runtime.channel.session import OwnerVisit, Reached
from runtime.channel.transport import ChannelTransport
from runtime.errors import PeerError
from runtime.limits import Limits
from tests.channel import owners
from tests.channel.owners import MEETS_CLIENT, member, owner
from tests.channel.parties import World


class Sink(asyncio.Protocol):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.data = b""

    def data_received(self, data: bytes) -> None:
        self.data += data

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        assert exc is None
        self.told.append("lost")


class End:
    """One end whose frames are kept for the test to pass on."""

    def __init__(self) -> None:
        self.sent: deque[Frame] = deque()
        self.ended = 0
        self.sink = Sink()
        self.broken = False
        self.transport = RelayedTransport(1, self.sink, send=self.send, peer="x", on_end=self.on_end)

    def send(self, frame: Frame) -> None:
        if self.broken:
            raise PeerError("closed", "gone")
        self.sent.append(frame)

    def on_end(self) -> None:
        self.ended += 1

    def data(self) -> int:
        return sum(len(frame.body) for frame in self.sent if frame.what is What.DATA)


async def test_what_is_over_the_credit_waits_and_tells_the_channel_to_pause() -> None:
    end = End()
    end.transport.write(b"x" * (CREDIT + 70 * 1024))
    assert end.data() == CREDIT
    assert end.transport.get_write_buffer_size() == 70 * 1024
    assert max(len(frame.body) for frame in end.sent) == MAX_DATA
    assert end.sink.told == ["pause"]
    end.transport.frame(relay_frames.window(1, 20 * 1024))
    assert end.data() == CREDIT + 20 * 1024
    assert end.sink.told == ["pause", "resume"]
    end.transport.close()  # what was written still goes out first
    assert not any(frame.what is What.CLOSE for frame in end.sent)
    end.transport.frame(relay_frames.window(1, CREDIT))
    assert end.data() == CREDIT + 70 * 1024
    assert end.sent[-1] == relay_frames.close(1, Reason.DONE)
    await asyncio.sleep(0)
    assert end.sink.told[-1] == "lost"
    assert end.ended == 1


async def test_a_peer_that_sends_over_its_credit_or_gives_back_too_much_is_refused() -> None:
    end = End()
    end.transport.pause_reading()
    for _ in range(CREDIT // MAX_DATA):
        end.transport.frame(Frame(What.DATA, 1, bytes(MAX_DATA)))
    with pytest.raises(PeerError, match="too_large"):
        end.transport.frame(Frame(What.DATA, 1, b"x"))
    with pytest.raises(PeerError, match="malformed"):
        end.transport.frame(relay_frames.window(1, 1))
    with pytest.raises(PeerError, match="out_of_turn"):
        end.transport.frame(Frame(What.OPEN, 1))
    assert end.sink.data == b""  # paused: kept
    end.transport.resume_reading()
    assert len(end.sink.data) == CREDIT
    assert sum(frame.credit for frame in end.sent if frame.what is What.WINDOW) == CREDIT


@pytest.mark.parametrize("how", ["close", "lost", "carrier", "abort"])
async def test_an_end_is_told_once_whatever_ends_it(how: str) -> None:
    end = End()
    if how == "close":
        end.transport.frame(relay_frames.close(1, Reason.NO_SESSION))
        assert end.transport.reason is Reason.NO_SESSION
    elif how == "lost":
        end.transport.lost()
    elif how == "abort":
        end.transport.abort()
    else:
        end.broken = True
        end.transport.write(b"x")
    end.transport.lost()
    end.transport.abort()
    end.transport.write(b"y")
    end.transport.frame(Frame(What.DATA, 1, b"late"))
    await asyncio.sleep(0)
    assert (end.sink.told, end.ended, end.sink.data) == (["lost"], 1, b"")


async def test_the_whole_channel_runs_over_it(world: World) -> None:
    """TLS, hellos, signature, evidence and messages in both directions, frame by frame."""
    who = owner(world)
    pairs: list[RelayedTransport] = []
    queue: deque[tuple[int, Frame]] = deque()
    stop = asyncio.Event()

    async def carry() -> None:
        while not stop.is_set():
            while queue:
                to, frame = queue.popleft()
                pairs[to].frame(frame)
            await asyncio.sleep(0)

    carrying = asyncio.create_task(carry())
    left, right = (
        ChannelTransport(Side.CLIENT, who.key, Limits()),
        ChannelTransport(Side.SERVER, world.client.key, Limits()),
    )
    for n, end in enumerate((left, right)):
        to = 1 - n
        pairs.append(
            RelayedTransport(
                1,
                end,
                send=lambda frame, to=to: queue.append((to, frame)),  # type: ignore[misc]  # a default
                peer="relayed",
                on_end=lambda: None,
            )
        )
    async with asyncio.timeout(30):
        met, visit = await owners.both(
            who, member(world, "client-1"), left, world.client, right, MEETS_CLIENT
        )
        assert isinstance(met, Reached)
        assert isinstance(visit, OwnerVisit)
        assert visit.channel.peer_address == "relayed"
        text = "x" * 60_000
        for n in range(5):
            await visit.channel.send({"n": n, "text": text})
            assert await met.channel.receive() == {"n": n, "text": text}
        await met.channel.send({"bye": 1})
        assert await visit.channel.receive() == {"bye": 1}
        left.close()
        with pytest.raises(PeerError):
            await visit.channel.receive()
        await left.closed
        await right.closed
    stop.set()
    await carrying
