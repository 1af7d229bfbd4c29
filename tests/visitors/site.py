"""The origin behind the tunnel: one ASGI site, served by hypercorn over HTTP/1.1 and HTTP/2. I/O.

`/` a page · `/hash` the SHA-256 of the body · `/bytes/N` · `/events?n=` one event per `tick` ·
`/version` which HTTP the origin was asked in, and with which headers · WebSocket anywhere: an echo.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config

from tests.localfleet.origin import blocks
from tests.localfleet.site_certificate import SiteCertificate
from tests.visitors.programs import accepting

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PAGE = b"<!doctype html><title>private</title><p id=said>a private web server\n"


class Site:
    """The application; `tick` lets the next event out."""

    def __init__(self, name: str = "origin") -> None:
        self.name = name
        self.tick = asyncio.Semaphore(0)
        self.asked: list[str] = []  # "HTTP version, path" of each request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "http":
            self.asked.append(f"{scope['http_version']} {scope['path']}")
            await self._answer(scope, receive, send)
        elif scope["type"] == "websocket":
            await _echo(receive, send)
        else:
            await _lifespan(receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if path == "/hash":
            digest, size = hashlib.sha256(), 0
            async for part in _body(receive):
                digest.update(part)
                size += len(part)
            await _whole(send, json.dumps({"sha256": digest.hexdigest(), "size": size}).encode())
        elif path.startswith("/bytes/"):
            size = int(path.removeprefix("/bytes/"))
            await _start(send, [(b"content-length", str(size).encode())])
            for block in blocks(size):
                await send({"type": "http.response.body", "body": block, "more_body": True})
            await send({"type": "http.response.body"})
        elif path == "/events":
            await self._events(send)
        elif path == "/version":
            headers = [[name.decode(), value.decode()] for name, value in scope["headers"]]
            said = {"name": self.name, "http": scope["http_version"], "headers": headers}
            await _whole(send, json.dumps(said).encode(), b"application/json")
        else:
            await _whole(send, PAGE, b"text/html")

    async def _events(self, send: Send) -> None:
        await _start(send, [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")])
        for number in range(10_000):
            await self.tick.acquire()
            event = b"id: %d\ndata: event %d\n\n" % (number, number)
            await send({"type": "http.response.body", "body": event, "more_body": True})


async def _body(receive: Receive) -> AsyncGenerator[bytes]:
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return
        yield message.get("body", b"")
        if not message.get("more_body"):
            return


async def _start(send: Send, headers: list[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def _whole(send: Send, body: bytes, kind: bytes = b"text/plain") -> None:
    await _start(send, [(b"content-type", kind), (b"content-length", str(len(body)).encode())])
    await send({"type": "http.response.body", "body": body})


async def _echo(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        match message["type"]:
            case "websocket.connect":
                await send({"type": "websocket.accept"})
            case "websocket.receive":
                text, data = message.get("text"), message.get("bytes")
                await send(
                    {"type": "websocket.send", **({"text": text} if text is not None else {"bytes": data})}
                )
            case _:
                return


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


@contextlib.asynccontextmanager
async def running(
    site: Site, *, host: str = "127.0.0.1", certificate: SiteCertificate | None = None
) -> AsyncGenerator[int]:
    """Serve `site` in plaintext (HTTP/1.1 and h2c on one port) or over TLS; gives the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.bind((host, 0))
    config = Config()
    port: int = listener.getsockname()[1]
    config.bind = [f"fd://{listener.detach()}"]  # hypercorn closes it
    config.accesslog = config.errorlog = None
    config.graceful_timeout = config.shutdown_timeout = 0.2
    config.wsgi_max_body_size = config.websocket_max_message_size = 32 << 20
    if certificate is not None:
        config.certfile, config.keyfile = str(certificate.chain), str(certificate.key)
    over = asyncio.Event()
    serving = asyncio.create_task(serve(site, config, shutdown_trigger=over.wait))  # type: ignore[arg-type]  # ASGI by shape
    try:
        await accepting(host, port, ended=serving.done)
        yield port
    finally:
        over.set()
        await asyncio.wait([serving], timeout=2)
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
