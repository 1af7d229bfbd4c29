"""The private web server that the local fleet publishes: plain HTTP or TLS, on loopback. I/O.

`/` names the origin · `/who` what it saw of the request · `/bytes/N` N bytes that `expected` can
foretell · `/echo` the body back as it comes · `/sse?n=N&every=S` server-sent events · `/ws` a
WebSocket that echoes.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from aiohttp import web

from tests.localfleet.listener import Listener, serve
from tests.localfleet.site_certificate import SiteCertificate

BLOCK = 65_536  # bytes; each block differs, so a lost, doubled or swapped one shows
MAX_BYTES = 4 << 30
MAX_EVENTS = 10_000


def blocks(size: int) -> Iterator[bytes]:
    """Yield the `size` bytes of `/bytes/<size>`: SHAKE-128 of the block's index."""
    for index in range(-(-size // BLOCK)):
        block = hashlib.shake_128(index.to_bytes(8)).digest(BLOCK)
        yield block[: size - index * BLOCK]


def expected(size: int) -> str:
    """Return the SHA-256, hex, of what `/bytes/<size>` answers."""
    digest = hashlib.sha256()
    for block in blocks(size):
        digest.update(block)
    return digest.hexdigest()


def application(name: str) -> web.Application:
    """Return an origin that calls itself `name`."""
    served = 0

    async def page(_: web.Request) -> web.Response:
        text = f"<!doctype html><title>{name}</title><h1>{name}</h1><p>a private web server\n"
        return web.Response(text=text, content_type="text/html", headers={"X-Origin": name})

    async def who(request: web.Request) -> web.Response:
        nonlocal served
        served += 1
        return web.json_response(
            {
                "origin": name,
                "served": served,
                "method": request.method,
                "host": request.host,
                "path": request.path_qs,
                "peer": request.remote,
                "headers": len(request.headers),
            },
            headers={"X-Origin": name},
        )

    app = web.Application(client_max_size=MAX_BYTES)
    app.router.add_get("/", page)
    app.router.add_get("/who", who)
    app.router.add_get("/bytes/{size:[0-9]{1,10}}", _bytes)
    app.router.add_route("*", "/echo", _echo)
    app.router.add_get("/sse", _events)
    app.router.add_get("/ws", _web_socket)
    return app


def listener(
    name: str, *, host: str = "127.0.0.1", port: int = 0, certificate: SiteCertificate | None = None
) -> Listener:
    """Return an origin to enter: for `http://` routes, or with a certificate for `tls://` ones."""
    tls = certificate.server_context() if certificate is not None else None
    return Listener(application(name), host=host, port=port, tls=tls)


async def _bytes(request: web.Request) -> web.StreamResponse:
    size = int(request.match_info["size"])
    if size > MAX_BYTES:
        raise web.HTTPRequestEntityTooLarge(max_size=MAX_BYTES, actual_size=size)
    response = web.StreamResponse(
        headers={"Content-Type": "application/octet-stream", "Content-Length": str(size)}
    )
    await response.prepare(request)
    for block in blocks(size):
        await response.write(block)
    await response.write_eof()
    return response


async def _echo(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": request.content_type})
    await response.prepare(request)
    async for chunk in request.content.iter_any():
        await response.write(chunk)
    await response.write_eof()
    return response


async def _events(request: web.Request) -> web.StreamResponse:
    try:
        count = min(int(request.query.get("n", "10")), MAX_EVENTS)
        every_s = float(request.query.get("every", "0.1"))
    except ValueError as error:
        raise web.HTTPBadRequest(text="want ?n=events&every=seconds\n") from error
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await response.prepare(request)
    for number in range(count):
        await response.write(f"id: {number}\ndata: {number}\n\n".encode())
        await asyncio.sleep(every_s)
    await response.write_eof()
    return response


async def _web_socket(request: web.Request) -> web.WebSocketResponse:
    response = web.WebSocketResponse()
    await response.prepare(request)
    async for message in response:
        if message.type is web.WSMsgType.TEXT:
            await response.send_str(message.data)
    return response


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.localfleet.origin", description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:8080", metavar="ADDRESS:PORT")
    parser.add_argument("--name", default="origin", help="how it calls itself")
    parser.add_argument(
        "--certificate", type=Path, metavar="DIR", help="folder of site_certificate: serve TLS"
    )
    options = parser.parse_args(arguments)
    host, _, port = options.listen.rpartition(":")
    folder: Path | None = options.certificate
    files = SiteCertificate.load(folder) if folder is not None else None
    try:
        asyncio.run(serve(listener(options.name, host=host, port=int(port), certificate=files), "origin"))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
