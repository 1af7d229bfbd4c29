"""The fleet document in force: only the owner's, only newer, whatever the URLs answer meanwhile."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from runtime.clock import TrustedClock
from runtime.documents import dsse, fleet
from runtime.documents.strict_json import MAX_DOCUMENT_SIZE
from runtime.errors import DocumentError, UnreachableError
from runtime.limits import Limits
from runtime.web import documents as module
from runtime.web.documents import PublishedDocuments, fetch
from tests.channel import parties
from tests.fakes.amd import FakeAmd
from tests.fakes.fleets import NOW, fleet_payload
from tests.localfleet.listener import Listener
from tests.web.owner import MALLORY, settings, signed

DAY = 86_400


class Clock:
    """A wall clock that a test turns."""

    def __init__(self) -> None:
        self.wall = float(NOW)
        self.trusted = TrustedClock(0, wall=lambda: self.wall)


@pytest.fixture(scope="module")
def amd_members(amd: FakeAmd) -> list[Any]:
    return parties.members(amd)


@pytest.fixture
def payload(amd_members: list[Any]) -> Callable[..., bytes]:
    return lambda version=1, **options: fleet_payload(amd_members, version=version, **options)


def documents(clock: Clock | None = None, **changes: Any) -> PublishedDocuments:
    return PublishedDocuments(settings(**changes), (clock or Clock()).trusted, poll_s=0.02)


def with_payload(envelope: bytes, payload: bytes) -> bytes:
    """The owner's signature over something else."""
    return json.dumps(json.loads(envelope) | {"payload": base64.b64encode(payload).decode()}).encode()


def in_force(of: PublishedDocuments) -> int:
    return of.current().document.version


async def test_a_version_only_rises(payload: Callable[..., bytes]) -> None:
    of = documents()
    heard: list[int] = []
    of.on_change(lambda: heard.append(in_force(of)))
    with pytest.raises(UnreachableError, match="no fleet document yet"):
        of.current()
    assert await of.accept(signed(payload(3)))
    assert not await of.accept(signed(payload(3)))
    with pytest.raises(DocumentError, match="is 2, in force is 3"):
        await of.accept(signed(payload(2)))
    assert in_force(of) == 3
    assert await of.accept(signed(payload(7)))
    assert (in_force(of), heard) == (7, [3, 7])
    assert of.current().payload == payload(7)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda p: signed(p(2), key=MALLORY), "no signature by the owner keys"),
        (lambda p: signed(p(2), kind=dsse.ROUTES_TYPE), "payloadType"),
        (lambda p: signed(p(2, fleet="another")), 'fleet: is "another"'),
        (lambda p: signed(p(2, tunnel_name="mallory.test")), "tunnel_name"),
        (
            lambda p: signed(p(1, waivers=[], firmware=[], fleet="test", purpose="test", now=NOW - 60)),
            "two different",
        ),
        (lambda p: p(2), "envelope"),
        (lambda _: b"", "envelope"),
        (lambda _: b"<html>", "envelope"),
        (lambda p: with_payload(signed(p(2)), p(3)), "no signature"),
    ],
)
async def test_what_is_not_the_owners_next_document_changes_nothing(
    payload: Callable[..., bytes], make: Callable[[Any], bytes], match: str
) -> None:
    of = documents()
    await of.accept(signed(payload(1)))
    with pytest.raises(DocumentError, match=match):
        await of.accept(make(payload))
    assert of.current().payload == payload(1)


async def test_the_settings_say_how_old_a_document_may_be_at_first(payload: Callable[..., bytes]) -> None:
    of = documents(document_min_version=5)
    with pytest.raises(DocumentError, match="is 4, the settings want at least 5"):
        await of.accept(signed(payload(4)))
    assert await of.accept(signed(payload(5)))


async def test_an_expired_document_is_none_and_a_clock_turned_back_does_not_revive_it(
    payload: Callable[..., bytes],
) -> None:
    clock = Clock()
    of = documents(clock)
    await of.accept(signed(payload(1)))
    clock.wall = NOW + 15 * DAY
    with pytest.raises(UnreachableError, match="fleet document 1 ended at"):
        of.current()
    await of.accept(signed(payload(2, now=NOW + 15 * DAY)))
    assert in_force(of) == 2
    clock.wall = NOW
    assert clock.trusted.now() == NOW + 15 * DAY - 3600  # the second document's issue time


async def test_the_last_second_of_a_document_counts(payload: Callable[..., bytes]) -> None:
    """As the verifier has it, which is what peers are refused by."""
    end = NOW - 3600 + 14 * DAY
    clock = Clock()
    of = documents(clock)
    clock.wall = end
    assert await of.accept(signed(payload(1)))
    assert in_force(of) == 1
    clock.wall = end + 1
    with pytest.raises(UnreachableError, match="fleet document 1 ended at"):
        of.current()
    with pytest.raises(DocumentError, match="which is past"):
        await documents(clock).accept(signed(payload(1)))


async def test_the_document_in_force_is_not_read_again(
    payload: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every URL gives it at every poll, to every member."""
    clock = Clock()
    of = documents(clock)
    assert await of.accept(signed(payload(1)))

    def read(_: bytes) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(fleet, "read", read)
    assert not await of.accept(signed(payload(1)))
    clock.wall = NOW + 15 * DAY
    with pytest.raises(DocumentError, match="which is past"):
        await of.accept(signed(payload(1)))
    with pytest.raises(AssertionError, match="read again"):
        await of.accept(signed(payload(2)))


async def test_sessions_go_on_while_a_large_document_is_read(amd_members: list[Any]) -> None:
    """1,024 members take hundreds of milliseconds, which is the loop's only if it does nothing else."""
    of, turns = documents(), 0
    many = [replace(amd_members[0], name=f"m-{n}", settings_digest=n.to_bytes(32, "big"),
                    chip_id=n.to_bytes(64, "big")) for n in range(1, 1025)]  # fmt: skip

    async def session() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.001)
            turns += 1

    going_on = asyncio.create_task(session())
    assert await of.accept(signed(fleet_payload(many)))
    going_on.cancel()
    assert len(of.current().document.members) == 1024
    assert turns >= 5  # none, if the loop reads


async def test_of_what_many_peers_pass_on_at_once_one_is_read(
    payload: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes a second of the same CPU: with twelve at once none would be in force for twelve."""
    of, reads = documents(), 0
    read = fleet.read

    def counted(data: bytes) -> fleet.FleetDocument:
        nonlocal reads
        reads += 1
        return read(data)

    monkeypatch.setattr(fleet, "read", counted)
    answers = await asyncio.gather(*(of.accept(signed(payload(2))) for _ in range(12)))
    assert (sorted(answers), reads) == ([False] * 11 + [True], 1)


# -- URLs -----------------------------------------------------------------------------------------------

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Publisher:
    """A web server that answers as told, and counts."""

    def __init__(self, answer: Answering) -> None:
        self.answer, self.asked = answer, 0
        app = web.Application()
        app.router.add_get("/fleet.json", self._serve)
        self.listener = Listener(app)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        return await self.answer(request)

    @property
    def url(self) -> str:
        return f"{self.listener.url}/fleet.json"


def body(data: bytes, status: int = 200, **options: Any) -> Answering:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=data, status=status, **options)

    return answer


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(MAX_DOCUMENT_SIZE // 65_536 + 2):
        await response.write(b" " * 65_536)
    await asyncio.sleep(60)
    return response


async def hang(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60)
    return web.Response()


async def cut(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b"{")
    assert request.transport is not None
    request.transport.close()
    return response


BAD: dict[str, tuple[Answering, str]] = {
    "404": (body(b"", 404), "answered 404, want 200"),
    "500": (body(b"", 500), "answered 500, want 200"),
    "204": (body(b"", 204), "answered 204, want 200"),
    "redirect": (body(b"", 302, headers={"Location": "/good.json"}), "answered 302, want 200"),
    "garbage": (body(b"\x00\xff" * 50), "envelope"),
    "oversize": (body(b" " * (MAX_DOCUMENT_SIZE + 1)), f"more than {MAX_DOCUMENT_SIZE} bytes"),
    "endless": (endless, f"more than {MAX_DOCUMENT_SIZE} bytes"),
    "hanging": (hang, "did not answer within 0.3 s (document_url_s)"),
    "cut": (cut, "did not answer"),
}


@pytest.mark.parametrize("name", list(BAD))
async def test_a_bad_publisher_is_said_once_and_a_good_answer_later_is_taken(
    name: str,
    payload: Callable[..., bytes],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "FIRST_POLL_S", 0.02)
    caplog.set_level(logging.WARNING)
    answer, said = BAD[name]
    publisher = Publisher(answer)
    async with publisher.listener, asyncio.timeout(10):
        of = documents(document_urls=(publisher.url,), limits=Limits(document_url_s=0.3))
        running = asyncio.create_task(of.run())
        while publisher.asked < 3:  # noqa: ASYNC110 - seen from outside
            await asyncio.sleep(0.01)
        with pytest.raises(UnreachableError):
            of.current()
        [record] = [record for record in caplog.records if record.message == "waiting for a fleet document"]
        assert said in record.__dict__["fields"]["detail"]
        publisher.answer = body(signed(payload(4)))
        assert (await of.first()).document.version == 4
        publisher.answer = answer  # an outage now changes nothing
        asked = publisher.asked
        while publisher.asked < asked + 2:  # noqa: ASYNC110 - seen from outside
            await asyncio.sleep(0.01)
        assert in_force(of) == 4
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_of_several_publishers_the_newest_good_answer_wins(payload: Callable[..., bytes]) -> None:
    """One is gone, one is old, one is new: a stale mirror cannot hold the fleet back, nor is it an error."""
    gone, old, new = (
        Publisher(body(b"", 500)),
        Publisher(body(signed(payload(1)))),
        Publisher(body(signed(payload(2)))),
    )
    async with gone.listener, old.listener, new.listener, asyncio.timeout(10):
        of = documents(document_urls=(gone.url, new.url, old.url))
        running = asyncio.create_task(of.run())
        assert (await of.first()).document.version == 2
        while old.asked < 3:  # noqa: ASYNC110 - seen from outside
            await asyncio.sleep(0.01)
        assert in_force(of) == 2
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/fleet.json", "ftp://x/y", "not a url", "http://[::1"])
async def test_an_address_that_cannot_be_asked_is_unreachable(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(UnreachableError, match="did not answer"):
            await fetch(session, url)


async def test_the_largest_document_is_taken_whole() -> None:
    data = bytes(range(256)) * (MAX_DOCUMENT_SIZE // 256)
    publisher = Publisher(body(data))
    async with publisher.listener, aiohttp.ClientSession() as session:
        assert await fetch(session, publisher.url) == data
