"""An established channel: what it hands on, and what ends it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

import pytest

from runtime.channel import transport
from runtime.channel.boot_key import BootKey
from runtime.channel.control_channel import ControlChannel
from runtime.channel.messages import Kind, Message
from runtime.channel.relay_frames import Frame, What
from runtime.errors import MalformedError, PeerError, TunnelError
from runtime.limits import Limits
from tests.channel import parties
from tests.fakes.fleets import NOW

KEY = BootKey.create("a.test", NOW)


@contextlib.asynccontextmanager
async def channels() -> AsyncGenerator[tuple[ControlChannel, ControlChannel], None]:
    async with parties.listening(KEY) as (port, accepted):
        wire = await transport.connect("127.0.0.1", port, KEY, Limits())
        theirs = await accepted.get()
        await theirs.established()
        yield ControlChannel(wire), ControlChannel(theirs)
        wire.abort()


async def test_frames_go_to_who_takes_them_and_messages_to_who_waits() -> None:
    async with channels() as (one, other), asyncio.timeout(20):
        frames: list[Frame] = []
        other.on_frame = frames.append
        one.send_frame(Frame(What.OPEN, 1, b"client-1"))
        one.send_frame(Frame(What.DATA, 1, b"x"))
        await one.send({"kind": "status_ask"})
        assert await other.receive() == {"kind": "status_ask"}
        assert frames == [Frame(What.OPEN, 1, b"client-1"), Frame(What.DATA, 1, b"x")]


@pytest.mark.parametrize(
    "message",
    [
        Message(Kind.RELAY, b"\x02\0\0\0\x01x"),  # nobody takes frames here
        Message(Kind.HELLO, b"x" * 100),
        Message(Kind.EVIDENCE, b"x"),
        Message(Kind.SIGNATURE, b"x" * 64),
        Message(Kind.CONFIRM, b"x" * 32),
        Message(Kind.CONTROL, b"[]"),
        Message(Kind.CONTROL, b"{"),
        Message(Kind.REFUSED, b"busy"),
    ],
)
async def test_whatever_is_out_of_turn_ends_it(message: Message) -> None:
    async with channels() as (one, other), asyncio.timeout(20):
        await one.transport.send(message)
        with pytest.raises(TunnelError) as caught:
            await other.receive()
        assert caught.value.code in {"out_of_turn", "malformed", "busy"}


async def test_a_frame_that_is_none_and_one_that_its_taker_refuses_end_it() -> None:
    def refuse(_frame: Frame) -> None:
        raise PeerError("too_large", "over its credit")

    for payload, wanted in ((b"\x09\0\0\0\x01", MalformedError), (b"\x02\0\0\0\x01x", PeerError)):
        async with channels() as (one, other), asyncio.timeout(20):
            other.on_frame = refuse
            await one.transport.send(Message(Kind.RELAY, payload))
            with pytest.raises(wanted):
                await other.receive()


async def test_a_frame_on_a_channel_that_is_over_is_our_error() -> None:
    async with channels() as (one, _), asyncio.timeout(20):
        one.transport.abort()
        await one.transport.closed
        with pytest.raises(PeerError):
            one.send_frame(Frame(What.OPEN, 1))
