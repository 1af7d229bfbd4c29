"""What must not wait for more, must not be cut short, and must arrive whole: events, half-closes, bulk."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ssl
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from runtime.tunnel.data import Kind
from tests.tunnel.rig import blocks, client_hello, count_and_send, listening, sha256_of
from tests.visitors.programs import WAIT_S, find, started, state
from tests.visitors.scene import SITE, Scene
from tests.visitors.site import Site, running

pytestmark = pytest.mark.integration
EVENTS = 20
MIB = 1 << 20
BULK = {"tls": 1024 * MIB, "http": 128 * MIB, "https": 128 * MIB}  # bytes each way


async def one_by_one(site: Site, events: AsyncIterator[bytes]) -> None:
    """Let one event out at a time; each has to arrive before the next exists."""
    for number in range(EVENTS):
        site.tick.release()
        async with asyncio.timeout(WAIT_S):
            assert await anext(events) == b"id: %d\ndata: event %d\n\n" % (number, number)


@pytest.mark.parametrize("kind", ["tls", "http", "h2c", "https"])
@pytest.mark.parametrize("http2", [False, True])
async def test_events_come_one_by_one(scene: Scene, kind: Kind, http2: bool) -> None:
    site, tls = Site(), kind in ("tls", "https")
    async with running(site, certificate=scene.certificate if tls else None) as port:
        pins = [scene.certificate_sha256] if kind == "https" else []
        await scene.publish({SITE: scene.origin(kind, port, pins=pins)})
        transport = httpx.AsyncHTTPTransport(verify=scene.trust(), http2=http2)
        async with (
            httpx.AsyncClient(transport=transport, timeout=WAIT_S) as visitor,
            visitor.stream(
                "GET",
                f"https://{scene.address}:{scene.port}/events",
                headers={"host": SITE},
                extensions={"sni_hostname": SITE},
            ) as answer,
        ):
            await one_by_one(site, answer.aiter_bytes())


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
async def test_events_come_one_by_one_to_curl(scene: Scene, version: str) -> None:
    site, curl = Site(), find("curl")
    async with running(site) as port:
        await scene.publish({SITE: scene.origin("h2c", port)})
        async with started(curl, *scene.curl("-N", version, f"{scene.base}/events")) as process:
            assert process.stdout is not None
            await one_by_one(site, _by_event(process.stdout))


async def _by_event(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while True:
        yield await reader.readuntil(b"\n\n")


async def test_the_visitor_may_end_first_and_still_gets_everything(scene: Scene) -> None:
    """TCP half-close through `tls://`, where nobody in between knows what the bytes are."""
    answer = bytes(range(256)) * 8192  # 2 MiB

    async def origin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        question = await reader.read(-1)
        writer.write(hashlib.sha256(question).digest() + answer)
        writer.close()

    async with listening(origin) as port:
        await scene.publish({SITE: scene.origin("tls", port)})
        reader, writer = await asyncio.open_connection(scene.address, scene.port)
        question = client_hello(SITE) + bytes(300_000)
        writer.write(question)
        writer.write_eof()
        assert await reader.read(-1) == hashlib.sha256(question).digest() + answer
        writer.close()


async def test_the_origin_may_end_first_and_still_gets_everything(scene: Scene) -> None:
    got: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def origin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"goodbye")
        writer.write_eof()
        got.set_result(await reader.read(-1))
        writer.close()

    async with listening(origin) as port:
        await scene.publish({SITE: scene.origin("tls", port)})
        reader, writer = await asyncio.open_connection(scene.address, scene.port)
        hello = client_hello(SITE)
        writer.write(hello)
        assert await reader.read(-1) == b"goodbye"
        for _ in range(10):
            writer.write(bytes(100_000))
            await writer.drain()
        writer.close()
        async with asyncio.timeout(WAIT_S):
            assert await got == hello + bytes(1_000_000)


async def test_close_notify_is_half_close(scene: Scene) -> None:
    """TLS's own half-close, where the visitor's TLS ends at the client."""

    async def origin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        question = await reader.read(-1)
        writer.write(b"got %d" % len(question))
        writer.close()

    async with listening(origin) as port:
        await scene.publish({SITE: scene.origin("http", port)})
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        visitor = scene.trust().wrap_bio(incoming, outgoing, server_hostname=SITE)
        reader, writer = await asyncio.open_connection(scene.address, scene.port)

        async def until_done(step: str) -> bytes:
            while True:
                try:
                    done = getattr(visitor, step)()
                except ssl.SSLWantReadError:
                    writer.write(outgoing.read())
                    data = await reader.read(65536)
                    incoming.write(data) if data else incoming.write_eof()
                else:
                    writer.write(outgoing.read())
                    return done if isinstance(done, bytes) else b""

        async with asyncio.timeout(WAIT_S):
            await until_done("do_handshake")
            visitor.write(bytes(50_000))
            with contextlib.suppress(ssl.SSLWantReadError):
                visitor.unwrap()  # our close_notify goes out; the origin's may come much later
            assert await until_done("read") == b"got 50000"
        writer.close()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["tls", "http", "https"])
async def test_bulk_arrives_unchanged_both_ways(scene: Scene, kind: Kind) -> None:
    size = BULK[kind]
    tls = scene.certificate.server_context() if kind in ("tls", "https") else None
    async with listening(count_and_send, ssl=tls) as port:
        pins = [scene.certificate_sha256] if kind == "https" else []
        await scene.publish({SITE: scene.origin(kind, port, pins=pins)})
        reader, writer = await asyncio.open_connection(
            scene.address, scene.port, ssl=scene.trust(), server_hostname=SITE, limit=1 << 20
        )
        began = time.monotonic()
        writer.write(b"%d\n" % size)
        for block in blocks(size, b"up"):
            writer.write(block)
            await writer.drain()
        assert await reader.readexactly(32) == sha256_of(blocks(size, b"up"))
        up, began = time.monotonic() - began, time.monotonic()
        seen, left = hashlib.sha256(), size
        while left:
            data = await reader.read(1 << 20)
            assert data, f"{left} bytes short"
            seen.update(data)
            left -= len(data)
        assert seen.digest() == sha256_of(blocks(size, b"down"))
        down = time.monotonic() - began
        writer.close()
    state(f"{kind}: {size >> 20} MiB up in {up:.1f} s, down in {down:.1f} s")
