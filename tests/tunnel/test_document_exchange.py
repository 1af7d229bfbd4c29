"""A fleet document passed between the ends of a session: the owner's, newer, and when URLs fail."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from runtime.channel import session as channel
from runtime.channel import transport
from runtime.channel.party import Party
from runtime.channel.session import Session
from runtime.clock import TrustedClock
from runtime.errors import PeerError
from runtime.limits import Limits
from runtime.tunnel import session_messages
from runtime.tunnel.document_exchange import DocumentExchange
from runtime.tunnel.session_messages import ControlMessage, DocumentAsk, DocumentPart
from runtime.web.documents import PublishedDocuments
from tests.channel import parties
from tests.channel.parties import World
from tests.fakes.amd import FakeAmd
from tests.fakes.fleets import NOW, fleet_payload
from tests.localfleet.listener import Listener
from tests.localfleet.publisher import application
from tests.tunnel.rig import until
from tests.web.owner import MALLORY, settings, signed

LIMITS = Limits()
DEAD = "http://127.0.0.1:9/fleet.json"  # refused at once


@pytest.fixture(scope="module")
def world(amd: FakeAmd) -> World:
    return parties.world(amd)


@pytest.fixture
def document(world: World) -> Callable[..., bytes]:
    """A signed document of this fleet."""
    return lambda version, **options: signed(
        fleet_payload(parties.members(world.amd), version=version, **options)
    )


async def published(envelope: bytes, *urls: str, wall: float = NOW) -> PublishedDocuments:
    of = PublishedDocuments(
        settings(document_urls=urls or (DEAD,)), TrustedClock(0, wall=lambda: wall), poll_s=3600
    )
    await of.accept(envelope)
    return of


@dataclass
class End:
    """One end of a session: what it has in force, and whom it asks."""

    session: Session
    documents: PublishedDocuments
    exchange: DocumentExchange

    @property
    def version(self) -> int:
        return self.documents.current().document.version

    async def talk(self) -> None:
        while True:
            await self.exchange.take(session_messages.decode(await self.session.receive()))


@contextlib.asynccontextmanager
async def connected(
    world: World,
    client: PublishedDocuments,
    server: PublishedDocuments,
    limits: Limits = LIMITS,
) -> AsyncGenerator[tuple[End, End, list[asyncio.Task[None]]], None]:
    """Both ends of a session, each getting what is newer."""
    parts: list[Party] = [
        replace(world.client, documents=client),
        replace(world.server, documents=server),
    ]
    async with parties.listening(world.server.key) as (port, accepted):
        wire = await transport.connect("127.0.0.1", port, world.client.key, Limits())
        sessions = await asyncio.gather(
            channel.establish(wire, parts[0], b"\x01" * 32),
            channel.establish(await accepted.get(), parts[1], b"\x02" * 32),
        )
        one, other = (
            End(session, documents, DocumentExchange(session, documents, limits))
            for session, documents in zip(sessions, (client, server), strict=True)
        )
        running = [
            asyncio.create_task(work)
            for work in (
                client.run(), server.run(), one.talk(), other.talk(),
                one.exchange.run(), other.exchange.run(),
            )
        ]  # fmt: skip
        try:
            yield one, other, running[4:]
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            wire.abort()


@pytest.mark.parametrize("behind", ["client", "server"])
async def test_whose_urls_are_dead_gets_the_newer_document_from_its_peer(
    world: World, document: Callable[..., bytes], behind: str
) -> None:
    versions = {"client": (1, 3), "server": (3, 1)}[behind]
    client, server = [await published(document(version)) for version in versions]
    heard: list[int] = []
    low = client if behind == "client" else server
    low.on_change(lambda: heard.append(low.current().document.version))
    async with connected(world, client, server) as (one, other, _):
        await until(lambda: one.version == other.version == 3, 30)
        assert one.documents.current().envelope == other.documents.current().envelope
    assert heard == [3]


async def test_its_own_urls_come_first(
    world: World,
    document: Callable[..., bytes],
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "fleet.json").write_bytes(document(4))  # newer still than the peer's
    asked: list[ControlMessage] = []
    monkeypatch.setattr(DocumentExchange, "_fetch", lambda *_: asked.append(DocumentAsk(version=0, offset=0)))
    async with Listener(application(tmp_path)) as publisher:
        client = await published(document(1), f"{publisher.url}/fleet.json")
        async with connected(world, client, await published(document(3))) as (one, _, _):
            await until(lambda: one.version == 4, 30)
    assert asked == []


async def test_a_large_document_comes_in_parts_and_whole(
    world: World, document: Callable[..., bytes]
) -> None:
    large = document(2) + b" " * (3 * session_messages.DOCUMENT_PART)  # JSON ends where it ends
    client, server = await published(document(1)), await published(large)
    async with connected(world, client, server) as (one, _, _):
        await until(lambda: one.version == 2, 30)
        assert one.documents.current().envelope == large


async def test_who_has_the_same_or_the_newer_one_asks_nobody(
    world: World, document: Callable[..., bytes]
) -> None:
    same = document(2)
    async with connected(world, await published(same), await published(same)) as (one, other, _):
        assert not one.exchange._newer.is_set()
        assert not other.exchange._newer.is_set()


# -- peers that lie -----------------------------------------------------------------------------------


class Liar(PublishedDocuments):
    """In force is one document, passed on is another."""

    def lie(self, envelope: bytes) -> None:
        self._current = replace(self.current(), envelope=envelope)


@pytest.mark.parametrize(
    "make",
    [
        lambda document: document(3)[:-10],
        lambda document: b'{"payload": "", "payloadType": "x", "signatures": []}',
        lambda document: signed(b"{}", key=MALLORY),
        lambda document: document(3, fleet="another"),
        lambda document: document(3, now=NOW - 40 * 86_400),  # ended
    ],
    ids=["cut", "not signed", "another key's", "another fleet's", "ended"],
)
async def test_what_the_peer_passes_on_has_to_be_the_owners(
    world: World, document: Callable[..., bytes], make: Callable[..., bytes]
) -> None:
    server = Liar(settings(document_urls=(DEAD,)), TrustedClock(0, wall=lambda: float(NOW)), poll_s=3600)
    await server.accept(document(3))
    server.lie(make(document))
    async with connected(world, await published(document(1)), server) as (one, _, running):
        with pytest.raises(PeerError, match="not acceptable"):
            async with asyncio.timeout(30):
                await running[0]
        assert one.version == 1


async def test_an_older_document_than_the_settings_allow_is_refused_from_a_peer_too(
    world: World, document: Callable[..., bytes]
) -> None:
    client = PublishedDocuments(
        settings(document_urls=(DEAD,), document_min_version=2),
        TrustedClock(0, wall=lambda: float(NOW)),
        poll_s=3600,
    )
    await client.accept(document(5))
    async with connected(world, client, await published(document(1))) as (one, other, _):
        await until(lambda: other.version == 5, 30)  # the lower one took the higher
        assert one.version == 5


@pytest.mark.parametrize("version", [3, 4])
async def test_an_honest_peer_whose_document_is_overtaken_while_it_is_read_stays(
    world: World, document: Callable[..., bytes], version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a newer one of our URLs. Another document of the very version is not overtaking: it is a forgery."""

    async def fetched(_self: DocumentExchange, _version: int) -> bytes:
        return document(3)

    monkeypatch.setattr(DocumentExchange, "_fetch", fetched)
    same = document(1)
    client = await published(same)
    async with connected(world, client, await published(same)) as (one, _, _):
        accept = client.accept

        async def overtaken(envelope: bytes) -> bool:
            await accept(document(version, now=NOW - 60))
            return await accept(envelope)

        monkeypatch.setattr(client, "accept", overtaken)
        expected = pytest.raises(PeerError, match="two different documents have version 3")
        with expected if version == 3 else contextlib.nullcontext():
            await one.exchange._from_peer(3)
        assert one.version == version


PART = base64.b64encode(b"x" * 10).decode()


@pytest.mark.parametrize(
    "part",
    [
        DocumentPart(version=9, offset=0, size=10, data=PART),
        DocumentPart(version=3, offset=5, size=10, data=PART),
        DocumentPart(version=3, offset=0, size=5, data=PART),
        DocumentPart(version=3, offset=0, size=10, data=""),
        DocumentPart(version=3, offset=0, size=10, data="?"),
        DocumentPart(version=3, offset=0, size=2**40, data=PART),
    ],
)
async def test_a_part_that_was_not_asked_for_ends_the_session(
    world: World, document: Callable[..., bytes], part: DocumentPart, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(self: DocumentExchange, _ask: DocumentAsk) -> None:
        await self._session.send(session_messages.encode(part))

    monkeypatch.setattr(DocumentExchange, "_answer", answer)
    async with connected(world, await published(document(1)), await published(document(3))) as (
        one,
        _,
        running,
    ):
        with pytest.raises(PeerError, match="malformed"):
            async with asyncio.timeout(30):
                await running[0]
        assert one.version == 1


async def test_a_part_that_nobody_waits_for_is_out_of_turn(
    world: World, document: Callable[..., bytes]
) -> None:
    same = document(2)
    async with connected(world, await published(same), await published(same)) as (one, _, _):
        with pytest.raises(PeerError, match="out_of_turn"):
            await one.exchange.take(DocumentPart(version=2, offset=0, size=10, data=PART))
        with pytest.raises(PeerError, match="out_of_turn"):
            await one.exchange.take(session_messages.Pong(n=1))


async def test_a_peer_that_no_longer_has_it_says_so_and_one_that_is_silent_is_ended(
    world: World, document: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    answered: list[DocumentAsk] = []

    async def gone(self: DocumentExchange, ask: DocumentAsk) -> None:
        part = DocumentPart(version=ask.version, offset=0, size=0, data="")
        await self._session.send(session_messages.encode(part))
        answered.append(ask)

    monkeypatch.setattr(DocumentExchange, "_answer", gone)
    async with connected(world, await published(document(1)), await published(document(3))) as (
        one,
        _,
        running,
    ):
        await until(lambda: bool(answered) and not one.exchange._asking, 30)
        assert one.version == 1
        assert not any(task.done() for task in running)

    async def silent(_self: DocumentExchange, _ask: DocumentAsk) -> None:
        return

    monkeypatch.setattr(DocumentExchange, "_answer", silent)
    hasty = Limits(document_part_s=0.2)
    async with connected(world, await published(document(1)), await published(document(3)), hasty) as (
        _,
        _,
        running,
    ):
        with pytest.raises(PeerError, match="document_part_late"):
            async with asyncio.timeout(30):
                await running[0]
