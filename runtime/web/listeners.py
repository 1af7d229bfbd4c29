"""Start an aiohttp application on an address or a unix socket, and end it. I/O."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncGenerator

from aiohttp import web

SHUTDOWN_S = 1.0  # admin and evidence requests are short


@contextlib.asynccontextmanager
async def on_address(
    application: web.Application, host: str, port: int
) -> AsyncGenerator[tuple[str, int], None]:
    """Serve plain HTTP; yields the address that is listened on. Raises: OSError when it is taken."""
    runner = _runner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield runner.addresses[0][:2]
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def on_unix_socket(
    application: web.Application, path: str, context: ssl.SSLContext
) -> AsyncGenerator[None, None]:
    """Serve HTTPS on a unix socket."""
    runner = _runner(application)
    await runner.setup()
    try:
        await web.UnixSite(runner, path, ssl_context=context).start()
        yield
    finally:
        await runner.cleanup()


def _runner(application: web.Application) -> web.AppRunner:
    # No access log: these listeners are polled by health checks every few seconds.
    return web.AppRunner(application, access_log=None, shutdown_timeout=SHUTDOWN_S, handle_signals=False)
