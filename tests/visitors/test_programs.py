"""Every visitor's program, on every kind of route that ends in an HTTP origin."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncGenerator
from pathlib import Path

import aiohttp
import httpx
import pytest
import websockets
from aiohttp.abc import AbstractResolver, ResolveResult

from runtime.tunnel.data import Kind
from tests.localfleet.origin import expected
from tests.visitors.programs import WAIT_S, find, run
from tests.visitors.scene import LOCAL, SITE, Scene
from tests.visitors.site import PAGE, Site, running

pytestmark = pytest.mark.integration
KINDS: tuple[Kind, ...] = ("tls", "http", "h2c", "https", "h2")
HTTP_2: tuple[Kind, ...] = ("tls", "h2c", "h2")
BODY = bytes(range(256)) * 4096  # 1 MiB


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    made: Kind = request.param
    return made


@contextlib.asynccontextmanager
async def published(scene: Scene, kind: Kind, hostname: str = SITE) -> AsyncGenerator[Site]:
    """The site behind one kind of route."""
    site, tls = Site(), kind in ("tls", "https", "h2")
    async with running(site, certificate=scene.certificate if tls else None) as port:
        pins = [scene.certificate_sha256] if kind in ("https", "h2") else []
        await scene.publish({hostname: scene.origin(kind, port, pins=pins)})
        yield site


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
async def test_curl(scene: Scene, kind: Kind, version: str) -> None:
    curl = find("curl")
    async with published(scene, kind) as site:
        page = await run(curl, *scene.curl(version, f"{scene.base}/"))
        assert (page.stdout, page.stderr) == (PAGE, "")
        upload = await run(
            curl, *scene.curl(version, "--data-binary", "@-", f"{scene.base}/hash"), given=BODY
        )
        assert json.loads(upload.stdout) == {"sha256": hashlib.sha256(BODY).hexdigest(), "size": len(BODY)}
        download = await run(curl, *scene.curl(version, f"{scene.base}/bytes/3000000"))
        assert hashlib.sha256(download.stdout).hexdigest() == expected(3_000_000)
    spoken = "2" if version == "--http2" and kind in HTTP_2 else "1.1"
    assert {asked.split()[0] for asked in site.asked} == {spoken}


async def test_wget(scene: Scene, kind: Kind, tmp_path: Path) -> None:
    wget, upload = find("wget"), tmp_path / "body"
    upload.write_bytes(BODY)
    options = ("-q", "-O", "-", "--prefer-family=IPv4", f"--ca-certificate={scene.ca}")
    async with published(scene, kind, LOCAL):
        url = f"https://{LOCAL}:{scene.port}"
        page = await run(wget, *options, f"{url}/bytes/3000000")
        assert (page.status, hashlib.sha256(page.stdout).hexdigest()) == (0, expected(3_000_000))
        answer = await run(wget, *options, f"--post-file={upload}", f"{url}/hash")
        assert json.loads(answer.stdout)["sha256"] == hashlib.sha256(BODY).hexdigest()


async def test_httpx(scene: Scene, kind: Kind) -> None:
    async with published(scene, kind) as site:
        for http2 in (False, True):
            transport = httpx.AsyncHTTPTransport(verify=scene.trust(), http2=http2)
            extensions = {"sni_hostname": SITE}
            async with httpx.AsyncClient(transport=transport, timeout=WAIT_S) as visitor:
                url = f"https://{scene.address}:{scene.port}"
                headers = {"host": f"{SITE}:{scene.port}"}
                answers = await asyncio.gather(
                    *(
                        visitor.get(f"{url}/bytes/200000", headers=headers, extensions=extensions)
                        for _ in range(8)
                    )
                )
                assert {hashlib.sha256(each.content).hexdigest() for each in answers} == {expected(200_000)}
                upload = await visitor.post(
                    f"{url}/hash", headers=headers, extensions=extensions, content=BODY
                )
                assert upload.json()["sha256"] == hashlib.sha256(BODY).hexdigest()
                assert upload.http_version == ("HTTP/2" if http2 and kind in HTTP_2 else "HTTP/1.1")
    assert len(site.asked) == 18


async def test_aiohttp(scene: Scene, kind: Kind) -> None:
    async with published(scene, kind), visitor_of(scene) as session:
        async with session.get(f"{scene.base}/bytes/3000000") as answer:
            assert hashlib.sha256(await answer.read()).hexdigest() == expected(3_000_000)
        async with session.post(f"{scene.base}/hash", data=BODY) as answer:
            assert (await answer.json(content_type=None))["size"] == len(BODY)
        async with session.ws_connect(f"{scene.base}/ws") as socket:
            await socket.send_str("grüße")
            assert await socket.receive_str() == "grüße"
            await socket.send_bytes(BODY)
            assert await socket.receive_bytes() == BODY


async def test_websockets(scene: Scene, kind: Kind) -> None:
    async with published(scene, kind):
        url = f"wss://{SITE}:{scene.port}/ws"
        async with websockets.connect(
            url, host=scene.address, port=scene.port, ssl=scene.trust("http/1.1"), max_size=None
        ) as socket:
            for message in ("one", b"two", "x" * 300_000, bytes(1 << 20)):
                await socket.send(message)
                assert await socket.recv() == message
            waiting = await socket.ping()
            await asyncio.wait_for(waiting, WAIT_S)


@contextlib.asynccontextmanager
async def visitor_of(scene: Scene) -> AsyncGenerator[aiohttp.ClientSession]:
    """An aiohttp visitor for whom the site's name is the worker's address."""

    class Names(AbstractResolver):
        async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
            return [
                ResolveResult(hostname=host, host=scene.address, port=port, family=family, proto=0, flags=0)
            ]

        async def close(self) -> None:
            return

    connector = aiohttp.TCPConnector(resolver=Names(), ssl=scene.trust())
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session
