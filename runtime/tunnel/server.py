"""The control process of a tunnel server: sessions, grants, workers. I/O.

It never sees a visitor's byte: workers relay, and do as they are told here. Who is let in and who has to
make way is here; what is said in a session, and which hostnames it gets, is in `live_session`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time

from runtime.channel import session as channel
from runtime.channel.boot_key import BootKey
from runtime.channel.deadline import deadline
from runtime.channel.hello import Side
from runtime.channel.party import Party
from runtime.channel.session import OwnerVisit, Session
from runtime.channel.transport import ChannelTransport
from runtime.crowd import Crowd
from runtime.documents.settings import ServerSettings
from runtime.errors import PeerError, TunnelError
from runtime.limits import Limits
from runtime.tunnel import control, session_messages
from runtime.tunnel.live_session import LiveSession
from runtime.tunnel.owner_desk import TellStatus
from runtime.tunnel.owner_visits import OwnerVisits
from runtime.tunnel.session_messages import DataPlan, Goaway
from runtime.tunnel.workers import WorkerPool, configurations

log = logging.getLogger("tunnel.server")

DRAIN_MARGIN_S = 3.0
HEARD_MARGIN_S = 1.0  # for a ping to arrive
BACKLOG = 1024


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
            member = live.member()
            if member is None:
                self._end(live, "not_a_member")
            else:
                live.document_changed(member)

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
            live.routed and self.workers.connections(live.session.id) for live in self._live.values()
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
        async with deadline(self._limits, "session_tls_s", "no connection was made"):
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
        live = LiveSession(session=session, party=self._party, limits=self._limits, workers=self.workers)
        self.owners.add_client(session)
        self._live[session.id] = live
        log.info("session established", extra={"fields": live.fields()})
        try:
            await live.keep(self._plan())
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
            log.info("session ended", extra={"fields": {**live.fields(), "reason": reason}})

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

    def _all_sessions(self) -> list[control.ToWorker]:
        """What a new worker has to know."""
        return [message for live in self._live.values() for message in live.told()]

    # -- small things -----------------------------------------------------------------------------

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
            log.debug("data connections", extra={"fields": {**live.fields(), "connections": count}})
