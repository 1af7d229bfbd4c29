"""Ask endorsers over HTTP, and take a no for a no. I/O: aiohttp.

AMD's key service gives each address about one answer in ten seconds and says 429 to the rest. So: one
request at a time per host; after a 429 or 503 nobody asks that host again before the moment it named; a wait
that is longer than the caller's deadline ends at once, and says until when. Answers are bounded in size and
time, and redirects are not followed.
"""

from __future__ import annotations

import asyncio
import email.utils
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

import aiohttp

from runtime.attestation.endorsements.contents import MAX_BODY_SIZE, Answer
from runtime.errors import UnreachableError

ATTEMPTS = 3
FIRST_PAUSE_S = 0.5  # doubled after each failure that may pass
REQUEST_S = 10.0
_PAUSE_UNTOLD_S = 10.0  # after a 429 without Retry-After: what AMD's limit comes to
_MOST_PAUSE_S = 3600.0  # a host that asks for more is asked again after an hour
_BUSY = frozenset({429, 503})
_MAY_PASS = frozenset({500, 502, 504})


class Web(Protocol):
    """How answers of endorsers come."""

    async def get(self, url: str, *, deadline: float) -> Answer:
        """Return the answer of status 200. `deadline` is of the monotonic clock.

        Raises: UnreachableError.
        """
        ...


@dataclass(slots=True)
class _Host:
    gate: asyncio.Lock = field(default_factory=asyncio.Lock)
    not_before: float = 0.0  # monotonic


class HttpWeb:
    """`Web` by aiohttp."""

    def __init__(
        self,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float],
        first_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        """`wall` is the trusted clock, to read a Retry-After that is a date."""
        self._monotonic, self._wall, self._first_pause_s = monotonic, wall, first_pause_s
        self._hosts: dict[str, _Host] = {}

    async def get(self, url: str, *, deadline: float) -> Answer:
        host = self._hosts.setdefault(urlsplit(url).netloc, _Host())
        try:
            async with asyncio.timeout(max(0.0, deadline - self._monotonic())), host.gate:
                return await self._asked(url, host, deadline)
        except TimeoutError as error:
            message = f"{url} did not answer in time"
            raise UnreachableError(message) from error

    async def _asked(self, url: str, host: _Host, deadline: float) -> Answer:
        wait, last = self._first_pause_s, "no answer"
        timeout = aiohttp.ClientTimeout(total=REQUEST_S)
        async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
            for attempt in range(ATTEMPTS):
                await self._until_welcome(url, host, deadline)
                if attempt:
                    await asyncio.sleep(wait)
                    wait *= 2
                try:
                    async with session.get(url, headers=_headers(url), allow_redirects=False) as response:
                        if response.status == 200:
                            return await _read(url, response)
                        last = f"HTTP {response.status}"
                        if response.status in _BUSY:
                            pause = self._told(response.headers.get("Retry-After"))
                            host.not_before = self._monotonic() + pause
                        elif response.status not in _MAY_PASS:
                            break
                except (aiohttp.ClientError, TimeoutError) as error:
                    last = f"{type(error).__name__}: {error}"
        message = f"{url} gives nothing: {last}"
        raise UnreachableError(message)

    async def _until_welcome(self, url: str, host: _Host, deadline: float) -> None:
        pause = host.not_before - self._monotonic()
        if pause > deadline - self._monotonic():
            message = f"{url} is not asked now: its host wants no request for another {pause:.0f} s"
            raise UnreachableError(message)
        if pause > 0:
            await asyncio.sleep(pause)

    def _told(self, text: str | None) -> float:
        """Read Retry-After: seconds or a date (RFC 9110, 10.2.3)."""
        pause = _PAUSE_UNTOLD_S
        if text is not None and text.isascii() and text.isdigit() and len(text) < 10:
            pause = float(text)
        elif text is not None:
            try:
                pause = email.utils.parsedate_to_datetime(text).timestamp() - self._wall()
            except (ValueError, OverflowError):
                pause = _PAUSE_UNTOLD_S
        return min(max(pause, 0.0), _MOST_PAUSE_S)


def _headers(url: str) -> dict[str, str]:
    return {"Metadata": "true"} if urlsplit(url).path.startswith("/metadata/") else {}


async def _read(url: str, response: aiohttp.ClientResponse) -> Answer:
    body = bytearray()
    async for chunk in response.content.iter_chunked(64 * 1024):
        body += chunk
        if len(body) > MAX_BODY_SIZE:
            message = f"{url} answers with more than {MAX_BODY_SIZE} bytes"
            raise UnreachableError(message)
    return Answer(body=bytes(body), headers={name.lower(): value for name, value in response.headers.items()})
