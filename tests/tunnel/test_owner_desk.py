"""What an owner may ask, and for how long it may stay."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from runtime.channel import transport
from runtime.channel.boot_key import BootKey
from runtime.channel.control_channel import ControlChannel
from runtime.errors import MalformedError, PeerError, TunnelError
from runtime.limits import Limits
from runtime.tunnel import owner_desk, owner_reach, session_messages
from runtime.tunnel.session_messages import AttestAgain, DataPlan, Goaway, Offer, Ping
from tests.channel import parties
from tests.fakes.fleets import NOW

LIMITS = Limits()
KEY = BootKey.create("a.test", NOW)
STATUS = {"member": "server-1", "sessions": [{"member": "client-1", "granted": ("app.test",)}]}


@contextlib.asynccontextmanager
async def attended(
    limits: Limits = LIMITS,
) -> AsyncGenerator[tuple[ControlChannel, asyncio.Task[None]], None]:
    async with parties.listening(KEY) as (port, accepted):
        wire = await transport.connect("127.0.0.1", port, KEY, Limits())
        theirs = await accepted.get()
        await theirs.established()
        attending = asyncio.create_task(owner_desk.attend(ControlChannel(theirs), lambda: STATUS, limits))
        try:
            yield ControlChannel(wire), attending
        finally:
            wire.abort()
            attending.cancel()
            await asyncio.gather(attending, return_exceptions=True)


async def test_the_status_is_told_as_often_as_it_is_asked() -> None:
    async with attended() as (owner, _), asyncio.timeout(20):
        for _ in range(3):
            status = await owner_reach.ask_status(owner)
            assert status["sessions"] == [{"member": "client-1", "granted": ["app.test"]}]


OFFER: dict[str, Any] = session_messages.encode(Offer(hostnames=("app.test",)))


@pytest.mark.parametrize(
    "message",
    [
        OFFER,
        session_messages.encode(Ping(n=1)),
        session_messages.encode(Goaway(reason="x", retry_after_s=1, deadline_ms=0)),
        session_messages.encode(AttestAgain(reason="x")),
        session_messages.encode(DataPlan(certificate_sha256="ab" * 32, ports=(1,), ping_ms=5000)),
        {"kind": "join", "session": "00" * 16},
        {"kind": "status", "part": 0, "parts": 1, "text": "{}"},
        {"kind": "status_ask", "more": 1},
        {},
    ],
)
async def test_an_owner_that_wants_to_be_a_session_is_closed(message: dict[str, Any]) -> None:
    async with attended() as (owner, attending), asyncio.timeout(20):
        await owner.send(message)
        with pytest.raises((PeerError, MalformedError)) as caught:
            await attending
        assert caught.value.code in {"out_of_turn", "malformed"}


@pytest.mark.parametrize(
    ("limits", "code"),
    [(Limits(owner_idle_s=0.2), "owner_silent"), (Limits(owner_visit_s=0.2, owner_idle_s=0.2), "owner_")],
)
async def test_an_owner_who_was_forgotten_frees_its_place(limits: Limits, code: str) -> None:
    async with attended(limits) as (_, attending), asyncio.timeout(20):
        with pytest.raises(TunnelError, match=code):
            await attending


async def ask_for_ever(owner: ControlChannel) -> None:
    while True:
        await owner_reach.ask_status(owner)


async def test_an_owner_who_goes_on_asking_leaves_in_the_end() -> None:
    async with attended(Limits(owner_visit_s=0.5, owner_idle_s=0.5)) as (owner, attending):
        asking = asyncio.create_task(ask_for_ever(owner))
        async with asyncio.timeout(20):
            with pytest.raises(PeerError, match="owner_visit_over"):
                await attending
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
