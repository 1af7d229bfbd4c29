"""The two kinds of listener: up while they are entered, gone afterwards."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from runtime.channel.boot_key import BootKey
from runtime.web import listeners
from runtime.web.tunnel_name import tls_context
from tests.fakes.fleets import NOW
from tests.tunnel.rig import visitor_tls


def site() -> web.Application:
    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_get("/", hello)
    return app


async def test_an_address_is_listened_on_and_let_go() -> None:
    async with (
        listeners.on_address(site(), "127.0.0.1", 0) as (host, port),
        aiohttp.ClientSession() as asker,
        asker.get(f"http://{host}:{port}/") as answer,
    ):
        assert await answer.text() == "hello"
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((host, port), timeout=1)


async def test_an_address_that_is_taken_is_said_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        async with listeners.on_address(site(), *taken.getsockname()):
            pytest.fail("two listen on one address")


async def test_a_request_that_hangs_does_not_keep_the_listener_up() -> None:
    async def hang(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    app = web.Application()
    app.router.add_get("/", hang)
    async with asyncio.timeout(20):
        async with listeners.on_address(app, "127.0.0.1", 0) as (host, port):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await asyncio.sleep(0.05)
        assert await reader.read() == b""
        writer.close()


async def test_a_unix_socket_speaks_tls_13_alone(tmp_path: Path) -> None:
    path, key = str(tmp_path / "endpoint"), BootKey.create("tunnel.test", NOW)
    async with listeners.on_unix_socket(site(), path, tls_context(key)):
        reader, writer = await asyncio.open_unix_connection(path, ssl=visitor_tls(), server_hostname="x")
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        assert (await reader.read()).endswith(b"hello")
        writer.close()
        old = visitor_tls()
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_unix_connection(path, ssl=old, server_hostname="x")
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        assert b"hello" not in await reader.read()
        writer.close()
    with pytest.raises(OSError, match=r"refused|No such file"):  # 3.13 removes the socket as well
        await asyncio.open_unix_connection(path)
