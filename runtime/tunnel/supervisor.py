"""One attested session per server address, for ever. I/O.

No exception ends a supervisor: whatever happens to a session, the next one is dialled after a full-
jitter pause (a fleet that loses a server must not come back in lockstep). Only cancellation stops it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
import time
from collections.abc import Mapping

from runtime.channel import session as channel
from runtime.channel import transport
from runtime.channel.deadline import deadline
from runtime.channel.party import Party
from runtime.channel.session import Session
from runtime.errors import PeerError
from runtime.limits import Limits
from runtime.tunnel import data, session_messages
from runtime.tunnel.access_log import AccessLog
from runtime.tunnel.data import Carried, Origin, OriginTable
from runtime.tunnel.document_exchange import DocumentExchange
from runtime.tunnel.joined import Joined, log_fields
from runtime.tunnel.owner_desk import TellStatus
from runtime.tunnel.owner_door import OwnerDoor
from runtime.tunnel.renewal import due_in
from runtime.tunnel.session_messages import Answer, AttestAgain, DataPlan, Goaway, Offer, Ping, Pong, Serving
from runtime.tunnel.status import INTERNAL, Status
from runtime.tunnel.together import run_together

log = logging.getLogger("tunnel.client")

FIRST_PAUSE_S = 0.5  # doubles per failure up to the cap of the settings; each pause is random(0, that)
SETTLED_S = 10.0  # a session that lived this long was good: the next pause starts small again
LEAST_PING_S = 0.1  # whatever a server asks for


class Supervisor:
    """Keeps one session with one address."""

    def __init__(
        self,
        *,
        address: str,
        port: int,
        party: Party,
        limits: Limits,
        pause_cap_s: float,
        routes: Mapping[str, Origin],
        status: TellStatus,
        access: AccessLog | None,
    ) -> None:
        self._tell_status, self._access = status, access
        self.status = Status(address=address)
        self._port, self._party, self._limits = port, party, limits
        self._cap, self._routes = pause_cap_s, dict(routes)
        self._hurry = asyncio.Event()
        self._again = asyncio.Event()  # attest again now
        self._session: Session | None = None
        self._joined: Joined | None = None
        self._carried = Carried()  # by sessions that are over
        self._table = OriginTable(self._routes, frozenset())
        self._farewell: asyncio.TimerHandle | None = None
        self._retry_after_s = 0.0  # what the server asked for

    async def run(self) -> None:
        """Dial, serve, pause, again; until cancelled."""
        failures = 0
        while True:
            started = time.monotonic()
            self.status.change("connecting")
            error = await self._one_session()
            if error is not None:
                self._note(error)
            failures = 0 if time.monotonic() - started >= SETTLED_S else failures + 1
            self.status.change("waiting")
            await self._pause(min(self._cap, FIRST_PAUSE_S * 2 ** min(failures, 16)))

    @property
    def streams(self) -> int:
        """Count the visitors' streams open now."""
        return 0 if self._joined is None else self._joined.streams

    @property
    def carried(self) -> Carried:
        """Sum up since the start."""
        return self._carried if self._joined is None else self._carried.plus(self._joined.carried)

    def hurry(self) -> None:
        """Skip the present pause."""
        self._hurry.set()

    def document_changed(self) -> None:
        """End the session when the document now in force no longer lists its server as the same member."""
        session = self._session
        if session is not None and session.member_in(self._party.documents.current().document) is None:
            log.warning("server is no longer a member", extra={"fields": self._fields(session)})
            session.transport.close()
        elif session is not None:
            self._again.set()

    async def set_routes(self, routes: Mapping[str, Origin]) -> None:
        """Serve these routes from now on, and offer them; streams that are open stay."""
        self._routes = dict(routes)
        self._table.set_routes(self._routes)
        with contextlib.suppress(PeerError):
            await self._offer()

    async def _offer(self) -> None:
        if self._session is not None:
            await self._session.send(session_messages.encode(Offer(hostnames=self._table.hostnames)))

    async def drain(self) -> None:
        """Let the streams end, at most for the drain time; the caller cancels `run` afterwards."""
        self.status.change("draining")
        session = self._session
        if session is None:
            return
        try:
            deadline_ms = round(self._limits.drain_s * 1000)
            goaway = Goaway(reason="draining", retry_after_s=0, deadline_ms=deadline_ms)
            await session.send(session_messages.encode(goaway))
        except PeerError:
            return
        if self._joined is not None:
            await self._joined.drain()

    # -- one session ------------------------------------------------------------------------------

    async def _one_session(self) -> Exception | None:
        """Run one session in a task of its own and return what ended it.

        Of its own, because a task group that fails leaves its task marked as being cancelled in
        Python before 3.11.4; the next timeout in that task would then end the supervisor for good.
        """
        session = asyncio.get_running_loop().create_task(self._once())
        try:
            await asyncio.wait({session})
        finally:
            if not session.done():  # we are being cancelled: so is the session, and we see it end
                session.cancel()
                await asyncio.wait({session})
        error = None if session.cancelled() else session.exception()
        if error is not None and not isinstance(error, Exception):
            raise error
        return error

    async def _once(self) -> None:
        where, started = f"{self.status.address} port {self._port}", time.monotonic()
        async with deadline(self._limits, "session_dial_s", f"{where} did not answer"):
            wire = await transport.connect(self.status.address, self._port, self._party.key, self._limits)
        try:
            session = await channel.establish(wire, self._party, secrets.token_bytes(32))
            self.status.handshakes += 1
            self.status.handshakes_s += time.monotonic() - started
            await self._serve(session)
        finally:
            self._session = None
            if self._farewell is not None:
                self._farewell.cancel()
                self._farewell = None
            if self._joined is not None:
                self._joined.abort()
                self._carried, self._joined = self.carried, None
            wire.close()

    async def _serve(self, session: Session) -> None:
        door = OwnerDoor(session=session, party=self._party, status=self._tell_status)
        async with deadline(self._limits, "message_s", "the server sent no data plan"):
            plan = session_messages.decode(await session.receive())
        if not isinstance(plan, DataPlan) or not plan.ports:
            raise PeerError("out_of_turn", "the server's first message is not a data plan")
        self._session = session
        self._again.clear()  # here, not after the joins: what is set from now on is about this session
        if self._party.documents.current().document.digest != session.under.digest:
            self.document_changed()  # it did since the handshake began
        self._table = OriginTable(self._routes, frozenset())
        self.status.peer = session.peer
        self._joined = joined = Joined(
            session=session,
            plan=plan,
            origins=self._table,
            limits=self._limits,
            status=self.status,
            access=self._access,
        )
        await joined.open()
        await self._offer()
        self.status.sessions += 1
        self.status.change("established")
        log.info("session established", extra={"fields": self._fields(session)})
        last_pong = [time.monotonic()]
        documents = DocumentExchange(session, self._party.documents, self._limits)
        await run_together(
            self._attest_again(session, documents),
            self._ping(session, last_pong, plan),
            self._listen(session, last_pong, documents),
            documents.run(),
            door.run(),
            *(joined.keep(worker) for worker in range(len(plan.ports))),
        )

    async def _attest_again(self, session: Session, documents: DocumentExchange) -> None:
        """Begin a new epoch on time, when the document changed, or when the server asks for it."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(due_in(session, self._party)):
                    await self._again.wait()
            self._again.clear()
            await session.attest_again(secrets.token_bytes(32))
            self.status.peer = session.peer
            documents.look()
            log.info("session attested again", extra={"fields": self._fields(session)})

    async def _listen(self, session: Session, last_pong: list[float], documents: DocumentExchange) -> None:
        newest = 0  # answer
        while True:
            message = session_messages.decode(await session.receive())
            match message:
                case Answer(n=n) if n <= newest:
                    pass  # a server that waited to write sent it late: the newer one stays in force
                case Answer(n=n, granted=granted, not_granted=not_granted):
                    newest = n
                    self._granted(session, granted, not_granted)
                    # The server sends visitors of what is new only now: none is turned away here.
                    await session.send(session_messages.encode(Serving(n=n)))
                case Pong():
                    last_pong[0] = time.monotonic()
                case AttestAgain():
                    self._again.set()
                case Goaway(reason=reason) as goaway:
                    # The server closes its listener next; its streams may end, then we dial again.
                    log.info("server drains", extra={"fields": {**self._fields(session), "reason": reason}})
                    self.status.change("draining")
                    self._prepare_to_leave(goaway)
                case _:
                    await documents.take(message)

    def _prepare_to_leave(self, goaway: Goaway) -> None:
        """Dial no sooner than the server wants, and tell its WebSockets before it cuts them."""
        self._retry_after_s = min(float(goaway.retry_after_s), self._cap)
        seconds = goaway.deadline_ms / 1000
        if self._farewell is None:
            loop = asyncio.get_running_loop()
            self._farewell = loop.call_later(seconds - data.farewell_s(seconds), self._say_farewell)

    def _say_farewell(self) -> None:
        if self._joined is not None:
            self._joined.farewell()

    async def _ping(self, session: Session, last_pong: list[float], plan: DataPlan) -> None:
        n, ping_s = 0, min(self._limits.ping_s, max(plan.ping_ms / 1000, LEAST_PING_S))
        while True:
            left = last_pong[0] + self._limits.silent_s - time.monotonic()
            if left <= 0:
                raise PeerError("silent", f"no answer to a ping for {self._limits.silent_s:g} s (silent_s)")
            if left < ping_s:
                await asyncio.sleep(left)
                continue
            await asyncio.sleep(ping_s)
            n += 1
            await session.send(session_messages.encode(Ping(n=n % 2**32)))

    def _granted(self, session: Session, granted: tuple[str, ...], not_granted: tuple[str, ...]) -> None:
        offered = set(self._table.hostnames)
        self.status.granted = tuple(name for name in granted if name in offered)
        self.status.not_granted = not_granted
        self._table.set_granted(frozenset(self.status.granted))
        if not_granted:
            log.warning(
                "not granted by the fleet document",
                extra={"fields": {**self._fields(session), "hostnames": not_granted}},
            )

    # -- small things -----------------------------------------------------------------------------

    def _note(self, error: Exception) -> None:
        fields = self.status.failed(error)
        if fields["code"] == INTERNAL:
            log.error("a session ended by a fault of ours", exc_info=error, extra={"fields": fields})
        log.warning("session over", extra={"fields": fields})

    async def _pause(self, most_s: float) -> None:
        self._hurry.clear()
        seconds = self._retry_after_s + random.uniform(0, most_s)  # noqa: S311 - spreads load, guards nothing
        self._retry_after_s = 0.0
        try:
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        except TimeoutError:
            pass

    def _fields(self, session: Session) -> dict[str, object]:
        return log_fields(session, self.status.address)
