"""Where a tunnel client's routes come from: a file outside a VM, else URLs of signed routes. I/O."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import aiohttp

from runtime.documents import dsse, routes
from runtime.documents.settings import ClientSettings
from runtime.errors import TunnelError, UnreachableError, UsageError
from runtime.limits import Limits
from runtime.tunnel.client import origins
from runtime.tunnel.data import Origin
from runtime.web.documents import fetch

log = logging.getLogger("tunnel.routes")


class RoutesSource:
    """Reads the routes; a version never goes back."""

    def __init__(
        self,
        settings: ClientSettings,
        owner_keys: tuple[bytes, ...],
        limits: Limits,
        at_boot: Callable[[str], tuple[bytes, bytes]] | None = None,
    ) -> None:
        """`at_boot` makes PEM certificate and key for a hostname, where a route asks for that."""
        self._settings, self._owner_keys, self._at_boot = settings, owner_keys, at_boot
        self._version, self._url_s = 0, limits.document_url_s

    async def read(self) -> dict[str, Origin]:
        """Return the origins by hostname. Raises: UsageError, UnreachableError."""
        found = await asyncio.to_thread(routes.read, await self._bytes())
        if found.version < self._version:
            message = f"routes have version {found.version}, in force is {self._version}"
            raise UsageError(message, hint="raise the version of the new routes")
        built = origins(found, self._at_boot)
        self._version = found.version
        return built

    async def reload(self, use: Callable[[Mapping[str, Origin]], Awaitable[None]]) -> None:
        """Read again and hand on; routes that cannot be used leave the old ones in force."""
        try:
            fresh = await self.read()
        except TunnelError as error:
            log.error("routes not reloaded", extra={"fields": {"detail": str(error)}})  # noqa: TRY400 - said in full
            return
        await use(fresh)
        log.info("routes reloaded", extra={"fields": {"version": self._version, "hostnames": sorted(fresh)}})

    async def _bytes(self) -> bytes:
        if self._settings.routes_file is not None:
            return _read(Path(self._settings.routes_file))
        problems: list[str] = []
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self._url_s)) as session:
            for url in self._settings.routes_urls:
                try:
                    return dsse.open_envelope(await fetch(session, url), dsse.ROUTES_TYPE, self._owner_keys)
                except TunnelError as error:
                    problems.append(f"{url}: {error}")
        message = "no routes: " + "; ".join(problems)
        raise UnreachableError(message)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"the routes file cannot be read: {error}"
        raise UsageError(message, hint="the settings name it under client.routes.file") from error
