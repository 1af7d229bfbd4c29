"""The origin and the publisher over real sockets."""

from __future__ import annotations

import hashlib
import io
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.localfleet import origin, publisher
from tests.localfleet.listener import Listener


@pytest.fixture
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_the_page_names_the_origin(browser: aiohttp.ClientSession) -> None:
    async with origin.listener("blue") as site, browser.get(site.url + "/") as answer:
        assert answer.status == 200
        assert "<h1>blue</h1>" in await answer.text()


async def test_a_web_socket_hears_what_it_said(browser: aiohttp.ClientSession) -> None:
    async with origin.listener("blue") as site, browser.ws_connect(site.url + "/ws") as socket:
        for text in ("one", "x" * 100_000):
            await socket.send_str(text)
            assert await socket.receive_str() == text


async def test_who_counts_and_tells_what_it_saw(browser: aiohttp.ClientSession) -> None:
    async with origin.listener("blue") as site:
        for number in (1, 2):
            async with browser.get(site.url + "/who?x=1", headers={"Host": "app.demo.test"}) as answer:
                seen = await answer.json()
            assert (seen["served"], seen["host"], seen["path"]) == (number, "app.demo.test", "/who?x=1")


@pytest.mark.parametrize("size", [0, 1, origin.BLOCK, origin.BLOCK * 3 + 17])
async def test_bytes_are_those_foretold(browser: aiohttp.ClientSession, size: int) -> None:
    async with origin.listener("blue") as site, browser.get(f"{site.url}/bytes/{size}") as answer:
        body = await answer.read()
    assert len(body) == size
    assert hashlib.sha256(body).hexdigest() == origin.expected(size)


async def test_too_many_bytes_and_odd_numbers_are_refused(browser: aiohttp.ClientSession) -> None:
    async with origin.listener("blue") as site:
        async with browser.get(f"{site.url}/bytes/9999999999") as answer:
            assert answer.status == 413
        async with browser.get(f"{site.url}/sse?n=x") as answer:
            assert answer.status == 400


async def test_echo_gives_a_large_body_back(browser: aiohttp.ClientSession) -> None:
    body = b"".join(origin.blocks(3_000_000))
    async with (
        origin.listener("blue") as site,
        browser.post(site.url + "/echo", data=io.BytesIO(body)) as answer,
    ):
        assert await answer.read() == body


async def test_events_come_one_by_one(browser: aiohttp.ClientSession) -> None:
    async with origin.listener("blue") as site, browser.get(site.url + "/sse?n=3&every=0.01") as answer:
        assert answer.content_type == "text/event-stream"
        assert [line async for line in answer.content if line.startswith(b"data")] == [
            b"data: 0\n",
            b"data: 1\n",
            b"data: 2\n",
        ]


async def test_a_published_file_is_read_at_every_request(
    browser: aiohttp.ClientSession, tmp_path: Path
) -> None:
    document = tmp_path / "fleet.json"
    document.write_bytes(b'{"version":1}')
    async with Listener(publisher.application(tmp_path)) as site:
        async with browser.get(site.url + "/fleet.json") as answer:
            etag, first = answer.headers["ETag"], await answer.read()
        async with browser.get(site.url + "/fleet.json", headers={"If-None-Match": etag}) as answer:
            assert (answer.status, await answer.read()) == (304, b"")
        document.write_bytes(b'{"version":2}')
        async with browser.get(site.url + "/fleet.json", headers={"If-None-Match": etag}) as answer:
            assert (answer.status, await answer.read()) == (200, b'{"version":2}')
    assert first == b'{"version":1}'


@pytest.mark.parametrize("path", ["/none.json", "/.hidden", "/%2e%2e%2fsecret", "/sub", "/link", "/"])
async def test_nothing_but_the_folder_s_own_files_is_published(
    browser: aiohttp.ClientSession, tmp_path: Path, path: str
) -> None:
    folder = tmp_path / "published"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "secret").write_text("s")
    (folder / ".hidden").write_text("s")
    (folder / "link").symlink_to(tmp_path / "secret")
    async with Listener(publisher.application(folder)) as site, browser.get(site.url + path) as answer:
        assert answer.status == 404
