"""The sessions a worker serves, their data connections, and the choice of one for each visitor. I/O.

The control process says which sessions exist and what each was granted; a data connection proves
that it belongs to one of them. Nothing else gets a stream, and an ended session loses all at once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from runtime.errors import PeerError
from runtime.limits import Limits
from runtime.tunnel.access_log import AccessLog
from runtime.tunnel.client_hello import ClientHello
from runtime.tunnel.control import Counters, End, Grant, Joined, Left, Session
from runtime.tunnel.frames import CloseCode, OpenRequest, ResetCode
from runtime.tunnel.join import (
    CounterLedger,
    Direction,
    Join,
    Terms,
    check_proof,
    encode_joined,
    join_proof,
)
from runtime.tunnel.mux import Mux
from runtime.tunnel.pipe import Pipe
from runtime.tunnel.relay import NoRoomError, Refusal, Visitor
from runtime.tunnel.routing import NoRouteError, Router, SessionId, normal_hostname, normal_pattern
from runtime.tunnel.socket_end import Dialer, SocketEnd
from runtime.tunnel.stream import Far, StreamSink

Tell: TypeAlias = Callable[[Joined | Left], None]


@dataclass(slots=True, kw_only=True)
class _Served:
    """A session as this worker knows it."""

    member: str
    epoch: int
    secret: bytes = field(repr=False)
    granted: frozenset[str] = frozenset()
    muxes: list[Mux] = field(default_factory=list[Mux])


class Switchboard:
    """Implements `relay.Switch` for the visitors and `admission.Board` for data connections."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        worker: int,
        certificate_sha256: bytes,
        tunnel_name: str,
        tunnel_name_socket: str,
        tell: Tell,
        on_serving: Callable[[bool], None],
        access: AccessLog | None,
    ) -> None:
        self._access = access
        self._on_serving = on_serving
        self._loop = loop
        self._limits = limits
        self._worker = worker
        self._certificate_sha256 = certificate_sha256
        self._tunnel_name = normal_hostname(tunnel_name)
        self._tunnel_name_socket = tunnel_name_socket
        self._tell = tell
        self._sessions: dict[SessionId, _Served] = {}
        self._router = Router()
        self._ledger = CounterLedger()
        self._dialer = Dialer(loop=loop, limits=limits)
        self._visitors: set[Visitor] = set()
        self._own = 0  # visitors of the tunnel name itself
        self._refused: Counter[str] = Counter()
        self._opened: Counter[str] = Counter()
        self._received: Counter[str] = Counter()  # of connections that are gone; the living ones are added
        self._sent: Counter[str] = Counter()

    # ------------------------------------------------------------------ from the control process

    def set_session(self, message: Session) -> None:
        """Take a new session, or a new epoch of one; its connections stay."""
        session = SessionId(message.session)
        served = self._sessions.get(session)
        if served is None:
            self._sessions[session] = _Served(
                member=message.member, epoch=message.epoch, secret=message.join_secret
            )
        elif message.epoch > served.epoch:
            served.epoch, served.secret = message.epoch, message.join_secret
        # The answer lets the control process invite the client: no join can come too early.
        self._tell(Joined(session=session, connections=len(self._sessions[session].muxes)))

    def grant(self, message: Grant) -> None:
        """Set what a session may serve; streams of hostnames it lost are left to end."""
        served = self._sessions.get(SessionId(message.session))
        if served is not None:
            served.granted = frozenset(normal_pattern(hostname) for hostname in message.hostnames)
            self._offer(SessionId(message.session), served)

    def end(self, message: End) -> None:
        """Cut a session's connections and streams now; it can never join again."""
        session = SessionId(message.session)
        served = self._sessions.pop(session, None)
        self._ledger.forget(session)
        self._route(session, frozenset())
        if served is not None:
            for mux in tuple(served.muxes):
                mux.close(CloseCode.SESSION_ENDED, message.reason)

    def counters(self, *, lag_s: float = 0.0) -> Counters:
        """Sum up since the start."""
        received, sent = self._received.copy(), self._sent.copy()
        streams = 0
        for served in self._sessions.values():
            for mux in served.muxes:
                received[served.member] += mux.received_bytes
                sent[served.member] += mux.sent_bytes
                streams += mux.streams
        return Counters(
            visitors=len(self._visitors),
            streams=streams,
            opened=dict(self._opened),
            received=dict(received),
            sent=dict(sent),
            refused=dict(self._refused),
            lag_s=lag_s,
        )

    # ------------------------------------------------------------------ draining

    @property
    def idle(self) -> bool:
        """Whether neither a visitor nor a data connection is left."""
        return not self._visitors and not any(served.muxes for served in self._sessions.values())

    @property
    def reading(self) -> bool:
        """Whether the ClientHello of some visitor is not complete yet."""
        return any(visitor.reading for visitor in self._visitors)

    def goaway(self) -> None:
        """Open no more streams; every data connection closes after its last one."""
        for session, served in self._sessions.items():
            self._route(session, frozenset())
            for mux in tuple(served.muxes):
                mux.goaway()

    def end_drain(self) -> None:
        """Cut what a drain's time was not enough for; each peer is told why."""
        for served in self._sessions.values():
            for mux in tuple(served.muxes):
                mux.cut()

    def cut(self) -> None:
        """Close everything at once."""
        self._dialer.cancel()
        for served in self._sessions.values():
            for mux in tuple(served.muxes):
                mux.abort()
        for visitor in tuple(self._visitors):
            visitor.cut(ResetCode.DRAINED)

    # ------------------------------------------------------------------ visitors (`relay.Switch`)

    def visitor(self) -> Visitor:
        """Make the protocol of one visitor's socket."""
        return Visitor(loop=self._loop, limits=self._limits, switch=self)

    def open(self, request: OpenRequest, visitor: StreamSink, alpn: tuple[bytes, ...]) -> Far:
        """See `relay.Switch.open`."""
        if request.hostname == self._tunnel_name:
            return self._open_own(request, visitor)
        full = False
        for _ in range(self._router.sessions(request.hostname)):
            served = self._sessions[self._router.pick(request.hostname)]
            free = [mux for mux in served.muxes if mux.can_open]
            if free:
                mux = min(free, key=_load)
                self._opened[served.member] += 1
                stream = mux.open(request, visitor)
                if self._access is not None:
                    stream.witness = followed = self._access.follow(
                        request, peer=served.member, from_visitor="sent"
                    )
                    followed.offered(alpn)
                return stream
            full = full or any(not mux.going for mux in served.muxes)
        if full:
            raise NoRoomError(Refusal.TOO_MANY_STREAMS, "every data connection has max_streams streams")
        raise NoRouteError("no session offers this hostname")

    def refused(self, reason: Refusal, visitor: Visitor, hello: ClientHello | None) -> None:
        """See `relay.Switch.refused`."""
        self._refused[reason.value] += 1
        if self._access is not None and reason is not Refusal.RESET:  # a reset stream has its own line
            name, alpn = (hello.sni, hello.alpn) if hello is not None else (None, ())
            self._access.turned_away(reason.value, visitor=visitor.address, hostname=name, alpn=alpn)

    def arrived(self, visitor: Visitor) -> bool:
        """See `relay.Switch.arrived`."""
        if len(self._visitors) >= self._limits.max_visitors:
            return False
        self._visitors.add(visitor)
        return True

    def left(self, visitor: Visitor) -> None:
        """See `relay.Switch.left`."""
        self._visitors.discard(visitor)

    def _open_own(self, request: OpenRequest, visitor: StreamSink) -> Far:
        """Pass a visitor of the tunnel name itself on to the control process, byte for byte.

        It holds the fleet's sessions and must not be filled by strangers: few at a time, each for seconds.
        """
        if self._own >= self._limits.own_visitors:
            raise NoRoomError(Refusal.TUNNEL_NAME_BUSY, "own_visitors of the tunnel name are there")
        self._own += 1
        end = SocketEnd(loop=self._loop, limits=self._limits, lost=ResetCode.ORIGIN_LOST)
        pipe = Pipe(visitor, end, credit=self._limits.credit)
        self._dialer.dial(
            lambda factory: self._loop.create_unix_connection(factory, self._tunnel_name_socket),
            end,
            pipe.far_side,
        )
        pipe.near_side.write(request.first)
        self._loop.call_later(self._limits.own_visitor_s, self._end_own, end)
        return pipe.near_side

    def _end_own(self, end: SocketEnd) -> None:
        self._own -= 1  # its place is free no sooner: that bounds the rate as well
        if end.joined:
            self._refused["tunnel_name_late"] += 1
            end.cut(ResetCode.IDLE)

    # ------------------------------------------------------------------ data connections

    def join_refused(self, code: str) -> None:
        """Count a connection that did not join."""
        self._refused[code] += 1

    def admit(self, join: Join, finished: bytes) -> bytes:
        """Check a proof and return the frame that answers it. Raises PeerError or MalformedError."""
        served = self._sessions.get(join.session)
        if served is None:
            raise PeerError("join_unknown_session", "no such session")
        if (join.epoch, join.worker) != (served.epoch, self._worker):
            raise PeerError("join_refused", f"epoch {join.epoch} worker {join.worker} is not here")
        prove = partial(
            join_proof,
            served.secret,
            session=join.session,
            epoch=join.epoch,
            worker=join.worker,
            counter=join.counter,
            certificate_sha256=self._certificate_sha256,
            finished=finished,
        )
        check_proof(join.proof, prove(direction=Direction.CLIENT_TO_SERVER, terms=join.terms))
        self._ledger.use(join.session, epoch=join.epoch, worker=join.worker, counter=join.counter)
        if len(served.muxes) >= self._limits.connections_per_session:
            raise PeerError("join_too_many", "the session has enough data connections")
        ours = Terms.of(self._limits)
        return encode_joined(ours, prove(direction=Direction.SERVER_TO_CLIENT, terms=ours))

    def joined(self, join: Join) -> Mux:
        """Make the mux of a connection that was just admitted."""
        session = join.session
        served = self._sessions[session]
        mux = Mux(
            loop=self._loop,
            limits=self._limits,
            accept=None,
            on_closed=lambda mux, error: self._lost(session, served, mux, error),
            on_going=lambda mux: self._offer(session, served),
        )
        mux.peer = join.terms
        served.muxes.append(mux)
        return mux

    def connected(self, session: SessionId) -> None:
        """Offer the session, whose mux has its transport now, to visitors."""
        served = self._sessions[session]
        self._offer(session, served)
        self._tell(Joined(session=session, connections=len(served.muxes)))

    def _lost(self, session: SessionId, served: _Served, mux: Mux, error: PeerError | None) -> None:
        served.muxes.remove(mux)
        if error is not None and self._sessions.get(session) is served:
            self._refused[error.code] += 1  # a rule broken, or a peer that was lost
        self._received[served.member] += mux.received_bytes
        self._sent[served.member] += mux.sent_bytes
        self._offer(session, served)
        self._tell(Left(session=session, connections=len(served.muxes)))

    def _offer(self, session: SessionId, served: _Served) -> None:
        """A session takes streams while it is known, granted, and has a connection that stays."""
        if self._sessions.get(session) is served:
            stays = any(not mux.going for mux in served.muxes)
            self._route(session, served.granted if stays else frozenset())

    def _route(self, session: SessionId, patterns: frozenset[str]) -> None:
        """Change what a session offers, and say when the first offer comes or the last one goes."""
        before = self._router.serving
        self._router.offer(session, patterns)
        if self._router.serving is not before:
            self._on_serving(not before)


def _load(mux: Mux) -> tuple[int, int]:
    """Prefer a connection that is not busy with bulk, then the one with fewer streams."""
    return (mux.backlog, mux.streams)
