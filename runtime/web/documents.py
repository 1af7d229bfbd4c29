"""Fetch the fleet document from the URLs in the settings, and keep the newest. I/O.

The URLs need no trust: the owner's signature is checked here, a version never goes back, and an
outage of the publisher changes nothing until the document in force expires.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import aiohttp

from runtime.channel.party import Clock, CurrentDocument
from runtime.documents import dsse, fleet, times
from runtime.documents.fleet import FleetDocument
from runtime.documents.settings import Settings
from runtime.documents.strict_json import MAX_DOCUMENT_SIZE
from runtime.errors import DocumentError, Problem, TunnelError, UnreachableError

log = logging.getLogger("tunnel.documents")

POLL_S = 30.0
FIRST_POLL_S = 1.0  # while there is no document, nothing is served
LEAST_PAUSE_S = 0.2


class PublishedDocuments:
    """The fleet document in force."""

    def __init__(self, settings: Settings, clock: Clock, *, poll_s: float = POLL_S) -> None:
        self._settings, self._clock, self._poll_s = settings, clock, poll_s
        self._current: CurrentDocument | None = None
        self._first = asyncio.Event()
        self._soon = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []
        self._reading = asyncio.Lock()
        self._asked: list[asyncio.Future[None]] = []  # who waits for a poll that has not begun

    def current(self) -> CurrentDocument:
        """Return it. Raises: UnreachableError while there is none, or it has expired."""
        if self._current is None:
            raise UnreachableError("no fleet document yet")
        document = self._current.document
        if document.ended(self._clock.now()):
            message = f"fleet document {document.version} ended at {times.show(document.expires_at)}"
            raise UnreachableError(message)
        return self._current

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` after each new version."""
        self._listeners.append(listener)

    def refresh(self) -> None:
        """Ask the URLs again at once, whatever the polling interval."""
        self._soon.set()

    async def from_urls(self) -> None:
        """Ask each URL once, and return when that is done, whatever came of it; `run` must be running."""
        polled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked.append(polled)
        self.refresh()
        await polled

    async def first(self) -> CurrentDocument:
        """Wait for the first document that verifies."""
        await self._first.wait()
        return self.current()

    async def run(self) -> None:
        """Poll until cancelled."""
        said = ""
        patience = aiohttp.ClientTimeout(total=self._settings.limits.document_url_s)
        async with aiohttp.ClientSession(timeout=patience) as session:
            while True:
                asked, self._asked = self._asked, []
                problem = await self._poll(session)
                for polled in asked:
                    if not polled.done():  # or whoever waited is gone
                        polled.set_result(None)
                if problem != said and problem:
                    waiting = (
                        "waiting for a fleet document"
                        if self._current is None
                        else "keeping the fleet document"
                    )
                    log.warning(waiting, extra={"fields": {"detail": problem}})
                said = problem
                await self._pause(self._poll_s if self._current is not None else FIRST_POLL_S)

    async def accept(self, envelope: bytes) -> bool:
        """Put a document in force if it is newer; returns whether it is.

        One of 1 MiB takes a second to read: a thread does, while sessions go on. The one in force, which the
        URLs give at every poll, is not read again. One at a time: of what many peers pass on at once the
        first is read, and the others are then what is in force.

        Raises: DocumentError: not the owner's, not this fleet's, too old a version, or two documents
        of one version.
        """
        async with self._reading:
            if self._current is None or envelope != self._current.envelope:
                return self._put_in_force(await asyncio.to_thread(self._read, envelope))
            self._check_time(self._current.document)
            return False

    def _read(self, envelope: bytes) -> CurrentDocument:
        payload = dsse.open_envelope(envelope, dsse.FLEET_TYPE, self._settings.owner_keys)
        return CurrentDocument(envelope=envelope, payload=payload, document=fleet.read(payload))

    def _check_time(self, document: FleetDocument) -> None:
        if document.ended(self._clock.now()):
            raise _refuse("$.expires_at", f"is {times.show(document.expires_at)}, which is past")

    def _put_in_force(self, read: CurrentDocument) -> bool:
        document = read.document
        if document.fleet != self._settings.fleet:
            raise _refuse("$.fleet", f'is "{document.fleet}", want "{self._settings.fleet}"')
        if document.version < self._settings.document_min_version:
            least = self._settings.document_min_version
            raise _refuse("$.version", f"is {document.version}, the settings want at least {least}")
        if document.tunnel_name != self._settings.tunnel_name:
            raise _refuse(
                "$.tunnel_name", f'is "{document.tunnel_name}", want "{self._settings.tunnel_name}"'
            )
        self._check_time(document)
        if self._current is not None:
            now = self._current.document
            if document.version < now.version:
                raise _refuse("$.version", f"is {document.version}, in force is {now.version}")
            if document.version == now.version:
                if document.digest != now.digest:
                    raise _refuse("$.version", f"two different documents have version {now.version}")
                return False
        self._clock.raise_floor(document.issued_at)
        self._current = read
        fields = {
            "version": document.version,
            "purpose": document.purpose,
            "expires": times.show(document.expires_at),
        }
        log.info("fleet document in force", extra={"fields": fields})
        self._first.set()
        for listener in self._listeners:
            listener()
        return True

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._soon.wait()
        except TimeoutError:
            return
        self._soon.clear()
        await asyncio.sleep(LEAST_PAUSE_S)  # however often peers say that they have a newer one

    async def _poll(self, session: aiohttp.ClientSession) -> str:
        """Ask each URL; the newest good answer wins. Returns what went wrong if none was good."""
        problems: list[str] = []
        good = False
        for url in self._settings.document_urls:
            try:
                await self.accept(await fetch(session, url))
                good = True
            except TunnelError as error:
                problems.append(f"{url}: {error}")
        return "" if good else "; ".join(problems)


async def fetch(session: aiohttp.ClientSession, url: str) -> bytes:
    """Return the body at `url`, at most 1 MiB. Raises: UnreachableError."""
    try:
        async with session.get(url, allow_redirects=False) as response:
            if response.status != 200:
                message = f"answered {response.status}, want 200"
                raise UnreachableError(message)
            body = await response.content.read(MAX_DOCUMENT_SIZE + 1)
            while len(body) <= MAX_DOCUMENT_SIZE and not response.content.at_eof():
                body += await response.content.read(MAX_DOCUMENT_SIZE + 1 - len(body))
    except TimeoutError as error:
        message = f"did not answer within {session.timeout.total:g} s (document_url_s)"
        raise UnreachableError(message) from error
    except (aiohttp.ClientError, ValueError) as error:
        message = f"did not answer: {type(error).__name__} {error}".rstrip()
        raise UnreachableError(message) from error
    if len(body) > MAX_DOCUMENT_SIZE:
        message = f"answered more than {MAX_DOCUMENT_SIZE} bytes"
        raise UnreachableError(message)
    return body


def _refuse(path: str, message: str) -> DocumentError:
    return DocumentError(fleet.WHAT, [Problem(path, message)])
