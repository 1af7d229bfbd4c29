"""An aiohttp application on a loopback port of its own, in this process. I/O."""

from __future__ import annotations

import asyncio
import ssl
from typing import Self

from aiohttp import web


class Listener:
    """Runs `application` while it is entered; port 0 takes a free one."""

    def __init__(
        self,
        application: web.Application,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Serve plain HTTP, or HTTPS when `tls` is given."""
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        self._tls = tls
        self.address = (host, port)

    @property
    def url(self) -> str:
        """Base URL without the final slash."""
        return f"{'http' if self._tls is None else 'https'}://{self.address[0]}:{self.address[1]}"

    async def start(self) -> tuple[str, int]:
        """Listen, and return the address. Raises: OSError when the port is taken."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, *self.address, ssl_context=self._tls)
        await site.start()
        self.address = (self.address[0], int(self._runner.addresses[0][1]))
        return self.address

    async def close(self) -> None:
        """Stop listening and cut what is open."""
        await self._runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


async def serve(listener: Listener, what: str) -> None:
    """Serve until cancelled, having said on stdout where."""
    async with listener:
        print(f"{what} on {listener.url}", flush=True)
        await asyncio.Event().wait()
