"""The control process of a tunnel server: sessions, grants, workers. I/O.

It never sees a visitor's byte: workers relay, and do as they are told here. A session's hostnames
are those that the client offers *and* the fleet document grants to the member it proved to be.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from dataclasses import dataclass, field

from runtime.channel import session as channel
from runtime.channel.boot_key import BootKey
from runtime.channel.deadline import deadline
from runtime.channel.hello import Side
from runtime.channel.party import Party
from runtime.channel.session import OwnerVisit, Session
from runtime.channel.transport import ChannelTransport
from runtime.crowd import Crowd
from runtime.documents.fleet import Member
from runtime.documents.settings import ServerSettings
from runtime.errors import PeerError, TunnelError
from runtime.limits import Limits
from runtime.tunnel import control, session_messages
from runtime.tunnel.document_exchange import DocumentExchange
from runtime.tunnel.owner_desk import TellStatus
from runtime.tunnel.owner_visits import OwnerVisits
from runtime.tunnel.renewal import SOONEST_S, due_in
from runtime.tunnel.session_messages import Answer, AttestAgain, DataPlan, Goaway, Offer, Ping, Pong
from runtime.tunnel.together import run_together
from runtime.tunnel.workers import WorkerPool, configurations

log = logging.getLogger("tunnel.server")

DRAIN_MARGIN_S = 3.0
HEARD_MARGIN_S = 1.0  # for a ping to arrive
BACKLOG = 1024


@dataclass(slots=True)
class LiveSession:
    """One confirmed session."""

    session: Session
    since: float  # monotonic seconds
    documents: DocumentExchange
    offered: tuple[str, ...] = ()
    granted: tuple[str, ...] = ()
    heard: float = 0.0  # monotonic seconds of its last message
    ended_by: str = ""
    ask: asyncio.Event = field(default_factory=asyncio.Event)  # the document changed: attest again now
    attested: asyncio.Event = field(default_factory=asyncio.Event)  # set after each epoch


class TunnelServer:
    """Listens for tunnel clients and runs the relay workers."""

    def __init__(
        self,
        *,
        settings: ServerSettings,
        tunnel_name: str,
        party: Party,
        data_key: BootKey,
        limits: Limits,
        status: TellStatus,
    ) -> None:
        """Prepare; `status` is what an owner who asks is told."""
        self._settings, self._tunnel_name, self._party = settings, tunnel_name, party
        self._data_key, self._limits = data_key, limits
        self._live: dict[bytes, LiveSession] = {}
        self._unconfirmed: Crowd[ChannelTransport] = Crowd(
            most=limits.max_unconfirmed, most_per_place=limits.unconfirmed_per_address
        )
        self._ports: tuple[int, ...] = ()
        self._draining = False
        self.refused: dict[str, int] = {}  # code -> sessions turned away
        self.handshakes, self.handshakes_s = 0, 0.0  # first attestations that led to a session
        self.workers = WorkerPool(self._connections_changed, limits, self._all_sessions)
        self.owners = OwnerVisits(
            status=status, find_client=self._find_client, limits=limits, count=self._count
        )

    # -- life -------------------------------------------------------------------------------------

    async def run(self, tunnel_name_socket: str, ready: asyncio.Event) -> None:
        """Serve until cancelled; `ready` is set once everything listens.

        Raises: TunnelError when a worker cannot start or dies; OSError when an address is taken.
        """
        async with asyncio.TaskGroup() as tasks:
            listeners: list[asyncio.Server] = []
            try:
                wanted = configurations(
                    self._settings,
                    key=self._data_key,
                    limits=self._limits,
                    tunnel_name=self._tunnel_name,
                    tunnel_name_socket=tunnel_name_socket,
                )
                workers = await self.workers.start(wanted, tasks)
                self._ports = tuple(worker.data_port for worker in workers)
                for address in self._settings.listen:
                    listeners.append(await self._listen(address, tasks))
                ready.set()
                log.info(
                    "listening",
                    extra={"fields": {"addresses": list(self._settings.listen), "data_ports": self._ports}},
                )
                index = await asyncio.shield(self.workers.died)
                if not self._draining:
                    message = f"relay worker {index} died and cannot be replaced"
                    raise TunnelError(message)
                await self.workers.ended(self._limits.drain_s + DRAIN_MARGIN_S)
            finally:
                for listener in listeners:
                    listener.close()
                for live in list(self._live.values()):
                    live.session.transport.close()
                await self.workers.close()
            raise asyncio.CancelledError  # drained: nothing is left for the other tasks to do

    def document_changed(self) -> None:
        """Hold every live session against the document now in force; end those it no longer covers."""
        for live in list(self._live.values()):
            if self._member(live.session) is None:
                self._end(live, "not_a_member")
            else:
                live.ask.set()

    async def drain(self) -> None:
        """Tell every client to open nothing new here."""
        self._draining = True
        self.workers.expect_end()
        deadline_ms = round(self._limits.drain_s * 1000)
        goaway = session_messages.encode(Goaway(reason="draining", retry_after_s=1, deadline_ms=deadline_ms))
        farewells = [live.session.send(goaway) for live in self._live.values()]
        await asyncio.gather(*farewells, return_exceptions=True)  # each has its own deadline
        await self.workers.tell(control.Drain(deadline_s=self._limits.drain_s))
        await self.workers.ended(self._limits.drain_s + DRAIN_MARGIN_S)

    def sessions(self) -> list[LiveSession]:
        """Return the live sessions."""
        return list(self._live.values())

    def is_ready(self) -> bool:
        """Tell whether a visitor can be served: not draining, and a session's data connection stands."""
        return not self._draining and any(
            live.granted and self.workers.connections(live.session.id) for live in self._live.values()
        )

    # -- sessions ---------------------------------------------------------------------------------

    async def _listen(self, address: str, tasks: asyncio.TaskGroup) -> asyncio.Server:
        loop = asyncio.get_running_loop()

        def accept() -> ChannelTransport:
            transport = ChannelTransport(Side.SERVER, self._party.key, self._limits)
            # Not a `finally` inside: a task that is cancelled before its first step runs none of it.
            tasks.create_task(self._serve(transport)).add_done_callback(lambda _: transport.close())
            return transport

        return await loop.create_server(accept, address, self._settings.sessions_port, backlog=BACKLOG)

    async def _serve(self, transport: ChannelTransport) -> None:
        """One connection from first byte to last; nothing that happens here reaches another."""
        try:
            started = time.monotonic()
            session = await self._establish(transport)
            if isinstance(session, Session):
                self.handshakes += 1
                self.handshakes_s += time.monotonic() - started
            if isinstance(session, OwnerVisit):
                await self.owners.receive(session)
            elif session is not None:
                await self._keep(session)
        except TunnelError as error:
            self._turned_away(error, transport)
        except Exception:
            log.exception("a session ended by a fault of ours")

    async def _establish(self, transport: ChannelTransport) -> Session | OwnerVisit | None:
        async with deadline(self._limits.session_tls_s, "session_tls_deadline", "no connection was made"):
            await transport.made()
        if self._draining:
            transport.abort()
            return None
        # Of the fullest address the oldest goes: who opens connections and says nothing keeps no member out.
        gone = self._unconfirmed.add(transport, transport.peer_address)
        if gone is not None:
            self._count("unconfirmed_displaced")
            gone.abort()
        try:
            return await channel.accept(
                transport,
                self._party,
                secrets.token_bytes(32),
                meets=(Side.CLIENT, Side.OWNER),
                on_owner=lambda: self._says_owner(transport),
            )
        finally:
            self._unconfirmed.discard(transport)
            self.owners.settled(transport)

    def _says_owner(self, transport: ChannelTransport) -> None:
        self._unconfirmed.discard(transport)  # owners have places of their own
        self.owners.says_owner(transport)

    async def _keep(self, session: Session) -> None:
        await self._make_way(session)
        documents = DocumentExchange(session, self._party.documents, self._limits)
        live = LiveSession(session=session, since=time.monotonic(), documents=documents)
        self.owners.add_client(session)
        self._live[session.id] = live
        log.info("session established", extra={"fields": self._fields(session)})
        try:
            await self._announce(session)
            await session.send(session_messages.encode(self._plan()))
            # Attestation first: of two that end at once, its reason is the one to tell.
            await run_together(
                self._answer_attestations(live),
                self._ask_for_attestation(live),
                self._talk(live),
                documents.run(),
            )
        except PeerError as error:
            if not live.ended_by:
                live.ended_by = error.code
        except TunnelError as error:
            live.ended_by = error.code
            raise  # a later attestation was refused: logged and counted like a first one
        finally:
            self._live.pop(session.id, None)
            self.owners.remove_client(session)
            reason = live.ended_by or "closed"
            await asyncio.shield(self.workers.tell(control.End(session=session.id, reason=reason)))
            log.info("session ended", extra={"fields": {**self._fields(session), "reason": reason}})

    def _plan(self) -> DataPlan:
        ping_s = min(self._limits.ping_s, self._limits.silent_s / 3)
        return DataPlan(
            certificate_sha256=self._data_key.certificate_sha256.hex(),
            ports=self._ports,
            ping_ms=round(ping_s * 1000),
        )

    async def _make_way(self, session: Session) -> None:
        """End older sessions of the same member. Raises: PeerError when another machine is that member now.

        The same channel key is the same boot, whose newer session wins. Another key is a restart whose older
        connection we have not seen end, or a second machine with the same settings: who pings is alive.
        """
        for other in self._of_member(session.peer.member):
            if other.session.transport.spki_peer != session.transport.spki_peer:
                asked = time.monotonic()
                await asyncio.sleep(self._limits.ping_s + HEARD_MARGIN_S)
                if other.session.id in self._live and other.heard > asked:
                    await channel.refuse(session.transport, "duplicate_member")
                    detail = f"{session.peer.member} is connected from {other.session.peer_address} already"
                    raise PeerError("duplicate_member", detail)
        for other in self._of_member(session.peer.member):
            self._end(other, "displaced")

    def _of_member(self, member: str) -> list[LiveSession]:
        return [live for live in self._live.values() if live.session.peer.member == member]

    async def _announce(self, session: Session) -> None:
        await self.workers.announce(_as_told(session))

    def _all_sessions(self) -> list[control.ToWorker]:
        """What a new worker has to know."""
        told: list[control.ToWorker] = []
        for live in self._live.values():
            told.append(_as_told(live.session))
            told.append(control.Grant(session=live.session.id, hostnames=live.granted))
        return told

    async def _talk(self, live: LiveSession) -> None:
        while True:
            async with deadline(self._limits.silent_s, "silent", "nothing was heard"):
                message = session_messages.decode(await live.session.receive())
            live.heard = time.monotonic()
            await asyncio.sleep(0)  # a peer that sends without pause gets its turn, not the loop
            match message:
                case Offer(hostnames=hostnames):
                    live.offered = hostnames
                    await self._answer(live)
                case Ping(n=n):
                    await live.session.send(session_messages.encode(Pong(n=n)))
                case Goaway(reason=reason):
                    live.granted = ()
                    await self.workers.tell(control.Grant(session=live.session.id, hostnames=()))
                    log.info(
                        "client drains", extra={"fields": {**self._fields(live.session), "reason": reason}}
                    )
                case _:
                    await live.documents.take(message)

    async def _answer_attestations(self, live: LiveSession) -> None:
        """See each later epoch through, and give the workers its secret before anything uses it."""
        while True:
            await live.session.answer_attestation(secrets.token_bytes(32))
            await self._announce(live.session)
            live.attested.set()
            live.documents.look()
            log.info("session attested again", extra={"fields": self._fields(live.session)})
            await self._answer(live)  # the document may grant other hostnames now

    async def _ask_for_attestation(self, live: LiveSession) -> None:
        """Ask when the document changed, or when the client lets its time pass; then wait, but not long."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(due_in(live.session, self._party) + self._limits.late_s):
                    await live.ask.wait()
            if not live.ask.is_set() and due_in(live.session, self._party) > SOONEST_S:
                continue  # it attested by itself meanwhile
            reason = "document" if live.ask.is_set() else "due"
            live.ask.clear()
            if live.offered:
                await self._answer(live)  # a hostname that the document takes away gets no new stream now
            live.attested.clear()
            await live.session.send(session_messages.encode(AttestAgain(reason=reason)))
            async with deadline(self._limits.late_s, "attestation_late", "the client did not attest again"):
                await live.attested.wait()

    async def _answer(self, live: LiveSession) -> None:
        member = self._member(live.session)
        if member is None:
            raise PeerError("not_a_member", "the fleet document in force no longer lists this member")
        live.granted = tuple(name for name in live.offered if member.may_publish(name))
        not_granted = tuple(name for name in live.offered if name not in live.granted)
        await self.workers.tell(control.Grant(session=live.session.id, hostnames=live.granted))
        await live.session.send(
            session_messages.encode(Answer(granted=live.granted, not_granted=not_granted))
        )
        log.info(
            "offer answered",
            extra={
                "fields": {**self._fields(live.session), "granted": live.granted, "not_granted": not_granted}
            },
        )

    # -- small things -----------------------------------------------------------------------------

    def _member(self, session: Session) -> Member | None:
        """Return what the document in force says of a peer that attested earlier, if it still does."""
        return session.member_in(self._party.documents.current().document)

    def _end(self, live: LiveSession, reason: str) -> None:
        """End a session: the workers cut its streams now, whatever its own connection is doing."""
        live.ended_by = reason
        self._live.pop(live.session.id, None)
        self.owners.remove_client(live.session)
        self.workers.tell_now(control.End(session=live.session.id, reason=reason))
        live.session.transport.close()

    def _find_client(self, name: str) -> Session | None:
        """Return the session of a client by its name, for an owner who wants to reach it."""
        found = (live.session for live in self._live.values() if live.session.peer.member == name)
        return next(found, None)

    def _turned_away(self, error: TunnelError, transport: ChannelTransport) -> None:
        self._count(error.code)
        log.warning(
            "session refused",
            extra={"fields": {"code": error.code, "peer": transport.peer_address, "detail": str(error)}},
        )

    def _count(self, code: str) -> None:
        self.refused[code] = self.refused.get(code, 0) + 1

    def _connections_changed(self, session: bytes) -> None:
        live = self._live.get(session)
        if live is not None:
            count = self.workers.connections(session)
            log.debug(
                "data connections", extra={"fields": {**self._fields(live.session), "connections": count}}
            )

    def _fields(self, session: Session) -> dict[str, object]:
        return {
            "session": session.id.hex()[:12],
            "member": session.peer.member,
            "grade": session.peer.grade,
            "peer": session.peer_address,
        }


def _as_told(session: Session) -> control.Session:
    """What workers are told of a session."""
    return control.Session(
        session=session.id,
        member=session.peer.member,
        epoch=session.epoch,
        join_secret=session.join_secret,
    )
