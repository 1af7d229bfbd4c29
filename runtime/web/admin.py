"""The private listener: /healthz, /readyz, /metrics, /status. I/O.

It says who the peers are and how much they send, so it belongs on loopback or a management network;
it changes nothing and holds no key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

Status = Callable[[], Mapping[str, Any]]


def application(
    *, is_ready: Callable[[], bool], status: Status, registry: CollectorRegistry
) -> web.Application:
    """Build the application; the callables are asked on each request."""

    async def healthz(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")  # the event loop answered: that is what health means here

    async def readyz(_request: web.Request) -> web.Response:
        ready = is_ready()
        return web.Response(text="ready\n" if ready else "not ready\n", status=200 if ready else 503)

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4}
        )

    async def show(_request: web.Request) -> web.Response:
        return web.json_response(status())

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/status", show)
    return app
