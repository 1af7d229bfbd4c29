"""The data ports of a worker: a stranger's connection from accept to join. I/O.

Who has not joined holds a socket that costs us, from the very accept on: such connections are bounded in
all and by address, before their TLS handshake. One frame, two deadlines, no answer to a wrong proof.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Callable
from typing import Protocol, cast

from runtime.crowd import Crowd
from runtime.errors import PeerError, TunnelError
from runtime.limits import Limits
from runtime.tunnel.data_tls import client_finished, secure
from runtime.tunnel.join import JOIN_FRAME_BYTES, Join
from runtime.tunnel.mux import Mux
from runtime.tunnel.routing import SessionId

_NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_NO_ROOM_PAUSE_S = 0.1  # until somebody has left


class Board(Protocol):
    """What decides about a join: the switchboard."""

    def admit(self, join: Join, finished: bytes) -> bytes:
        """Check a proof and return the frame that answers it. Raises PeerError or MalformedError."""
        ...

    def joined(self, join: Join) -> Mux:
        """Make the mux of a connection that was just admitted."""
        ...

    def connected(self, session: SessionId) -> None:
        """Offer the session, whose mux has its transport now, to visitors."""
        ...

    def join_refused(self, code: str) -> None:
        """Count a connection that did not join."""
        ...


class Admission:
    """Accepts on every data port of one worker."""

    def __init__(
        self, *, loop: asyncio.AbstractEventLoop, limits: Limits, context: ssl.SSLContext, board: Board
    ) -> None:
        self._loop, self._limits, self._context, self.board = loop, limits, context, board
        self._strangers: Crowd[JoinGate] = Crowd(
            most=limits.max_unjoined, most_per_place=limits.unjoined_per_address
        )
        self._accepting: set[asyncio.Task[None]] = set()
        self._securing: set[asyncio.Task[None]] = set()

    def listen(self, sock: socket.socket, backlog: int) -> None:
        """Take connections from a bound socket, which is ours from now on."""
        sock.listen(backlog)
        task = self._loop.create_task(self._accept(sock))
        self._accepting.add(task)

        def over(task: asyncio.Task[None]) -> None:
            self._accepting.discard(task)
            sock.close()

        task.add_done_callback(over)

    def close(self) -> None:
        """Accept nobody any more."""
        for task in self._accepting:
            task.cancel()

    def cut(self) -> None:
        """Close every connection that has not joined."""
        for gate in self._strangers.all():
            gate.close()

    def left(self, gate: JoinGate) -> None:
        """Forget a connection: it joined, or it is gone."""
        self._strangers.discard(gate)

    async def _accept(self, sock: socket.socket) -> None:
        while True:
            try:
                connection, address = await self._loop.sock_accept(sock)
            except OSError as error:  # ECONNABORTED and its like are the peer's
                if error.errno in _NO_ROOM:
                    await asyncio.sleep(_NO_ROOM_PAUSE_S)
                continue
            self._take(connection, str(address[0]))

    def _take(self, connection: socket.socket, address: str) -> None:
        connection.settimeout(0)
        gate = JoinGate(loop=self._loop, limits=self._limits, admission=self, sock=connection)
        gone = self._strangers.add(gate, address)
        if gone is not None:
            self.board.join_refused("unjoined_displaced")
            gone.close()
        task = self._loop.create_task(self._secure(gate, connection))
        self._securing.add(task)
        task.add_done_callback(self._securing.discard)

    async def _secure(self, gate: JoinGate, connection: socket.socket) -> None:
        make: Callable[[], asyncio.Protocol] = lambda: gate  # noqa: E731 - typed for the loop
        try:
            await secure(
                self._loop, make, sock=connection, context=self._context, handshake_s=self._limits.join_s
            )
        except OSError as error:  # ssl.SSLError, ConnectionError and TimeoutError are
            late = isinstance(error, TimeoutError) or "took longer" in str(error)
            gate.refuse("join_deadline" if late else "join_tls")
            connection.close()


class JoinGate(asyncio.Protocol):
    """A connection to the data port before it joined."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        admission: Admission,
        sock: socket.socket,
    ) -> None:
        self._loop = loop
        self._limits = limits
        self._admission = admission
        self._sock = sock
        self._held = b""
        self._done = False
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self._done:  # closed during the handshake
            self._transport.abort()
            return
        self._timer = self._loop.call_later(self._limits.join_s, self._too_slow)

    def data_received(self, data: bytes) -> None:
        if self._done or self._transport is None:
            return
        self._held += data
        try:
            if len(self._held) > JOIN_FRAME_BYTES:
                raise PeerError("join_refused", "more than JOIN before the answer")
            if len(self._held) == JOIN_FRAME_BYTES:
                self._join(self._transport)
        except TunnelError as error:
            self.refuse(error.code)

    def connection_lost(self, exc: Exception | None) -> None:
        self.refuse("join_lost")

    def refuse(self, code: str) -> None:
        """Turn it away, once, and count why."""
        if not self._done:
            self.close()
            self._admission.board.join_refused(code)

    def close(self) -> None:
        """Give up; nothing is counted."""
        self._stop()
        if self._transport is not None:
            self._transport.abort()
        else:
            with contextlib.suppress(OSError):  # in its handshake: the transport notices
                self._sock.shutdown(socket.SHUT_RDWR)

    def _join(self, transport: asyncio.Transport) -> None:
        tls = cast("ssl.SSLObject", transport.get_extra_info("ssl_object"))
        join = Join.decode(self._held)
        board = self._admission.board
        answer = board.admit(join, client_finished(tls))
        self._stop()
        transport.write(answer)
        mux = board.joined(join)
        transport.set_protocol(mux)
        mux.connection_made(transport)
        board.connected(join.session)

    def _too_slow(self) -> None:
        self.refuse("join_deadline")

    def _stop(self) -> None:
        self._done = True
        self._admission.left(self)
        if self._timer is not None:
            self._timer.cancel()
