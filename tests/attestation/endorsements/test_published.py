"""A publisher that is there, down, late to change, or has something else under the URL."""

from __future__ import annotations

import asyncio
import threading

import pytest

from runtime.attestation.endorsements import bundle as bundles
from runtime.attestation.endorsements import published as subject
from runtime.attestation.endorsements.bundle import EMPTY, Bundle
from runtime.attestation.endorsements.published import PublishedBundle
from tests.fakes.endorsers import Endorsers, Say


def made(at: int) -> Bundle:
    return Bundle(made_at=at, items={"key": b"body"})


def said(at: int) -> Say:
    return Say(body=bundles.write(made(at)))


async def test_the_first_url_that_answers_well() -> None:
    one = Endorsers({"/a": Say(status=503), "/b": Say(body=b"<html>"), "/c": said(5)})
    async with one.running() as base:
        found = await PublishedBundle((f"{base}/a", f"{base}/b", f"{base}/c")).refresh()
    assert found == made(5)


async def test_it_is_asked_for_hourly_and_never_goes_back() -> None:
    now = [0.0]
    one = Endorsers({"/a": [said(5), said(4), Say(status=404), said(6)]})
    async with one.running() as base:
        published = PublishedBundle((f"{base}/a",), monotonic=lambda: now[0])
        assert (await published.refresh()).made_at == 5
        assert (await published.refresh()).made_at == 5
        assert len(one.asked) == 1
        now[0] += subject.EVERY_S
        assert (await published.refresh()).made_at == 5
        now[0] += subject.EVERY_S
        assert (await published.refresh()).made_at == 5
        now[0] += subject.AGAIN_S
        assert (await published.refresh()).made_at == 6


async def test_without_a_url_or_a_publisher_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await PublishedBundle(()).refresh() == EMPTY
    assert await PublishedBundle(("http://127.0.0.1:1/",)).refresh() == EMPTY
    monkeypatch.setattr(bundles, "MAX_BUNDLE_SIZE", 10)
    monkeypatch.setattr(subject, "MAX_BUNDLE_SIZE", 10)
    async with Endorsers({"/a": said(5)}).running() as base:
        assert await PublishedBundle((f"{base}/a",)).refresh() == EMPTY


async def test_silent_publishers_cost_a_bounded_wait_and_are_left_alone_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subject, "SEARCH_S", 1.0)
    connections: list[asyncio.StreamWriter] = []

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)

    now = [0.0]
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    published = PublishedBundle((f"http://{host}:{port}/a",) * 3, monotonic=lambda: now[0])
    async with asyncio.timeout(20):
        assert await published.refresh() == EMPTY
    assert len(connections) == 1
    async with asyncio.timeout(20):
        assert await published.refresh() == EMPTY  # not asked again
    assert len(connections) == 1
    now[0] += subject.AGAIN_S
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):  # whoever waits gives up first
            await published.refresh()
    assert published._next == now[0] + subject.AGAIN_S
    for writer in connections:
        writer.close()
    server.close()


async def test_sessions_go_on_while_a_large_bundle_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """8 MiB take a second: whatever reads them is not the loop."""
    reading, released = threading.Event(), threading.Event()
    genuine = bundles.read

    def slow(data: bytes) -> Bundle:
        reading.set()
        assert released.wait(20)  # by the loop, which would wait here for itself
        return genuine(data)

    monkeypatch.setattr(bundles, "read", slow)
    async with Endorsers({"/a": said(5)}).running() as base, asyncio.timeout(40):
        asking = asyncio.create_task(PublishedBundle((f"{base}/a",)).refresh())
        while not reading.is_set():  # noqa: ASYNC110 - a thread tells it
            await asyncio.sleep(0.01)
        released.set()
        assert await asking == made(5)
