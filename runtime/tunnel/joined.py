"""The data connections of one session: one to each of the server's workers, joined again when lost. I/O."""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial, reduce

from runtime.channel.session import Session
from runtime.errors import PeerError, TunnelError
from runtime.limits import Limits
from runtime.tunnel import data
from runtime.tunnel.access_log import AccessLog
from runtime.tunnel.data import Carried, DataConnection, JoinTicket, OriginTable
from runtime.tunnel.routing import SessionId
from runtime.tunnel.session_messages import DataPlan
from runtime.tunnel.status import Status

log = logging.getLogger("tunnel.client")

JOIN_TRIES = 3
JOIN_PAUSE_S = 0.3  # longer than the server needs to tell its workers a new epoch


class Joined:
    """What a session with a server carries streams on."""

    def __init__(
        self,
        *,
        session: Session,
        plan: DataPlan,
        origins: OriginTable,
        limits: Limits,
        status: Status,
        access: AccessLog | None,
    ) -> None:
        self._session, self._plan, self._origins = session, plan, origins
        self._limits, self._status, self._access = limits, status, access
        self.connections: dict[int, DataConnection] = {}  # by worker
        self._counters = [0] * len(plan.ports)
        self._lost = Carried()  # by connections that others stand for now

    @property
    def streams(self) -> int:
        """Count the visitors' streams open now."""
        return sum(connection.streams for connection in self.connections.values())

    @property
    def carried(self) -> Carried:
        """Sum up since the session began."""
        return reduce(Carried.plus, (each.carried for each in self.connections.values()), self._lost)

    async def open(self) -> None:
        """Join every worker. Raises: PeerError, UnreachableError."""
        for worker in range(len(self._plan.ports)):
            self.connections[worker] = await self._join(worker)

    async def keep(self, worker: int) -> None:
        """Replace the worker's connection whenever it is lost. Raises: TunnelError: it takes none."""
        while True:
            reason = await self.connections[worker].closed
            self._status.connections -= 1
            if self._status.state == "draining":
                await self._session.transport.closed  # streams of other workers may still be ending
            log.warning("data connection lost", extra={"fields": self._fields(reason)})
            joined = await self._rejoin(worker)
            self._lost = self._lost.plus(self.connections[worker].carried)
            self.connections[worker] = joined

    async def drain(self) -> None:
        """Let the streams end, at most for the drain time."""
        await asyncio.gather(
            *(each.drain(self._limits.drain_s) for each in self.connections.values()), return_exceptions=True
        )

    def farewell(self) -> None:
        """Tell WebSockets that they end."""
        for connection in self.connections.values():
            connection.farewell()

    def abort(self) -> None:
        """Close all at once."""
        for connection in self.connections.values():
            connection.abort()
        self._status.connections = 0

    async def _join(self, worker: int) -> DataConnection:
        """Open one; a refusal while the epoch changes is tried again with the new secret."""
        tries = 0
        while True:
            self._counters[worker] += 1
            ticket = JoinTicket(
                session=SessionId(self._session.id),
                epoch=self._session.epoch,
                worker=worker,
                counter=self._counters[worker],
                secret=self._session.join_secret,
                certificate_sha256=bytes.fromhex(self._plan.certificate_sha256),
            )
            try:
                connection = await data.connect(
                    (self._status.address, self._plan.ports[worker]),
                    ticket=ticket,
                    origins=self._origins,
                    limits=self._limits,
                    deadline_s=self._limits.data_dial_s,
                    follow=self._follow(),
                )
            except PeerError as error:
                tries += 1
                if error.code != "join_refused" or tries == JOIN_TRIES:
                    raise
                await asyncio.sleep(JOIN_PAUSE_S)
            else:
                self._status.connections += 1
                return connection

    async def _rejoin(self, worker: int) -> DataConnection:
        """Join again, trying for as long as a server may need to replace a worker that died."""
        end = time.monotonic() + self._limits.worker_start_s
        while True:
            try:
                return await self._join(worker)
            except TunnelError:
                if time.monotonic() > end:
                    raise
                await asyncio.sleep(JOIN_PAUSE_S)

    def _follow(self) -> data.Follow | None:
        if self._access is None:
            return None
        return partial(self._access.follow, peer=self._session.peer.member, from_visitor="received")

    def _fields(self, reason: object) -> dict[str, object]:
        return {**log_fields(self._session, self._status.address), "reason": str(reason)}


def log_fields(session: Session, address: str) -> dict[str, object]:
    """Return what a log line says of the session that it is about."""
    return {
        "session": session.id.hex()[:12],
        "address": address,
        "member": session.peer.member,
        "grade": session.peer.grade,
    }
