"""Fetch the bundle that the owner publishes beside the fleet document, now and then. I/O.

The URLs need no trust: each item of a bundle has to hold together up to a pinned root (`genuine`), as answers
of endorsers have, or the endorser is asked. A publisher that is down, or has something else there, costs
nothing but a line in the log; one that keeps an older list there, while that one lasts, is believed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import aiohttp

from runtime.attestation.endorsements import bundle
from runtime.attestation.endorsements.bundle import EMPTY, MAX_BUNDLE_SIZE, Bundle
from runtime.errors import MalformedError

log = logging.getLogger("tunnel.endorsements")

REQUEST_S = 4.0
SEARCH_S = 6.0  # all URLs together: an attestation waits for it, and has `collect_s` for everything
EVERY_S = 3600.0  # revocation lists and collateral last for days and weeks
AGAIN_S = 60.0  # after a failure


class PublishedBundle:
    """The newest bundle that could be had."""

    def __init__(self, urls: tuple[str, ...], *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.urls, self._monotonic = urls, monotonic
        self.current: Bundle = EMPTY
        self._next = monotonic()

    async def refresh(self) -> Bundle:
        """Return the bundle, asked for again when it is time."""
        if self.urls and self._monotonic() >= self._next:
            # First: who is silent, or ends the wait of whoever asks, is not asked again at once.
            self._next = self._monotonic() + AGAIN_S
            try:
                async with asyncio.timeout(SEARCH_S):
                    found = await self._fetch()
            except TimeoutError:
                log.warning(
                    "no endorsements bundle", extra={"fields": {"why": f"none within {SEARCH_S:g} s"}}
                )
                found = None
            if found is not None:
                self._next = self._monotonic() + EVERY_S
                if found.made_at >= self.current.made_at:
                    self.current = found
        return self.current

    async def _fetch(self) -> Bundle | None:
        timeout = aiohttp.ClientTimeout(total=REQUEST_S)
        async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
            for url in self.urls:
                try:
                    async with session.get(url, allow_redirects=False) as response:
                        if response.status == 200:
                            # 8 MiB take a second: a thread reads them, sessions go on.
                            return await asyncio.to_thread(bundle.read, await _body(response))
                        why = f"HTTP {response.status}"
                except (aiohttp.ClientError, TimeoutError, MalformedError) as error:
                    why = f"{type(error).__name__}: {error}"
                log.warning("no endorsements bundle", extra={"fields": {"url": url, "why": why}})
        return None


async def _body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(256 * 1024):
        body += chunk
        if len(body) > MAX_BUNDLE_SIZE:
            break  # `bundle.read` says so
    return bytes(body)
