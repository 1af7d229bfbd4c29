"""A data connection as the tunnel client sees it: dial, check the pin, join, then serve streams. I/O.

Not one byte is sent over a connection whose certificate is not the one the session named, and no
stream is served before the server proved that it holds the session's join secret on this very TLS
connection. Whether a hostname may be served is asked again for each stream.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, TypeAlias, cast

from runtime.errors import MalformedError, PeerError, TunnelError, UnreachableError, UsageError
from runtime.limits import Limits
from runtime.tunnel.access_log import FollowedStream
from runtime.tunnel.data_tls import ALPN, client_finished, dial
from runtime.tunnel.frames import OpenRequest, ResetCode
from runtime.tunnel.join import (
    JOINED_FRAME_BYTES,
    Direction,
    Join,
    Terms,
    check_proof,
    decode_joined,
    join_proof,
)
from runtime.tunnel.mux import Mux
from runtime.tunnel.origin_tls import OriginTls
from runtime.tunnel.proxy_protocol import header
from runtime.tunnel.routing import SessionId, normal_hostname, normal_pattern, patterns_of
from runtime.tunnel.socket_end import Dialer, SocketEnd
from runtime.tunnel.stream import Far, Stream, StreamSink
from runtime.tunnel.tls_end import TlsEnd

Kind: TypeAlias = Literal["tls", "http", "h2c", "https", "h2"]
Follow: TypeAlias = Callable[[OpenRequest], FollowedStream]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a route's visitors go. `tls`: untouched; else their TLS ends here, by `ssl_context`.

    `http` and `h2c` are then plaintext to loopback; `https` and `h2` are TLS to one of the pinned
    certificates. `h2c` and `h2` offer visitors HTTP/2 beside HTTP/1.1.
    """

    kind: Kind
    host: str
    port: int
    ssl_context: ssl.SSLContext | None  # see `tls_end.visitor_context`
    pins: frozenset[bytes] = frozenset()  # SHA-256 of the origin's certificate, DER
    proxy_protocol: bool = False  # begin with the visitor's address: `proxy_protocol.header`

    def __post_init__(self) -> None:
        if (self.kind != "tls") is not (self.ssl_context is not None):
            raise UsageError(f"{self.kind}: only a tls origin has no TLS context of ours")
        if (self.kind in ("https", "h2")) is not bool(self.pins):
            raise UsageError(f"{self.kind}: https and h2 origins, and no others, have pinned certificates")
        if any(len(pin) != 32 for pin in self.pins):
            raise UsageError("a pin is the 32 bytes of a SHA-256")


class OriginTable:
    """What this client serves now: routes by hostname pattern, and the hostnames the server granted.

    Both are replaced as a whole; streams that are open stay.
    """

    def __init__(self, routes: Mapping[str, Origin], granted: frozenset[str]) -> None:
        self._routes: dict[str, Origin] = {}
        self._granted: frozenset[str] = frozenset()
        self.set_routes(routes)
        self.set_granted(granted)

    def set_routes(self, routes: Mapping[str, Origin]) -> None:
        """Replace the routes. Raises MalformedError for a pattern that is none."""
        self._routes = {normal_pattern(pattern): origin for pattern, origin in routes.items()}

    def set_granted(self, hostnames: frozenset[str]) -> None:
        """Replace the granted hostnames. Raises MalformedError for a pattern that is none."""
        self._granted = frozenset(normal_pattern(hostname) for hostname in hostnames)

    @property
    def hostnames(self) -> tuple[str, ...]:
        """List what the session's OFFER says: the patterns that have a route."""
        return tuple(sorted(self._routes))

    def find(self, hostname: str) -> Origin | ResetCode:
        """Return the origin for one stream, or why there is none. The name is the server's word."""
        try:
            patterns = patterns_of(normal_hostname(hostname))
        except MalformedError:  # a wildcard would match it, and it goes on to the origin
            return ResetCode.NO_ROUTE
        if self._granted.isdisjoint(patterns):
            return ResetCode.NOT_GRANTED
        for pattern in patterns:
            if pattern in self._routes:
                return self._routes[pattern]
        return ResetCode.NO_ROUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinTicket:
    """What the session hands over for one data connection; the counter is used up by it."""

    session: SessionId
    epoch: int
    worker: int
    counter: int
    secret: bytes = field(repr=False)  # 32 bytes
    certificate_sha256: bytes

    def proof(self, direction: Direction, finished: bytes, terms: Terms) -> bytes:
        """Compute one direction's proof for this connection. Raises MalformedError."""
        return join_proof(
            self.secret,
            direction=direction,
            session=self.session,
            epoch=self.epoch,
            worker=self.worker,
            counter=self.counter,
            certificate_sha256=self.certificate_sha256,
            finished=finished,
            terms=terms,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """What data connections have carried since they joined."""

    opened: int = 0  # streams
    received: int = 0  # frame bytes, from the server
    sent: int = 0

    def plus(self, other: Carried) -> Carried:
        """Add up."""
        return Carried(
            opened=self.opened + other.opened,
            received=self.received + other.received,
            sent=self.sent + other.sent,
        )


def farewell_s(deadline_s: float) -> float:
    """Return how long before a drain's deadline WebSockets are told: the frame has to arrive."""
    return min(1.0, deadline_s / 4)


class DataConnection:
    """One joined data connection. `closed` ends with None after a drain, else with the error."""

    def __init__(
        self, *, loop: asyncio.AbstractEventLoop, limits: Limits, origins: OriginTable, follow: Follow | None
    ) -> None:
        self.closed: asyncio.Future[TunnelError | None] = loop.create_future()
        self._follow = follow  # None: no access log
        self._opened = 0
        self._loop = loop
        self._limits = limits
        self._origins = origins
        self._dialer = Dialer(loop=loop, limits=limits)
        self.mux = Mux(loop=loop, limits=limits, accept=self._accept, on_closed=self._on_closed)

    @property
    def streams(self) -> int:
        """Count the streams open now."""
        return self.mux.streams

    @property
    def carried(self) -> Carried:
        """Sum up since the join."""
        return Carried(opened=self._opened, received=self.mux.received_bytes, sent=self.mux.sent_bytes)

    def goaway(self) -> None:
        """Ask for no new streams; the connection closes when the last one ends."""
        self.mux.goaway()

    async def drain(self, deadline_s: float) -> None:
        """Go away, wait for the streams, say goodbye to WebSockets, and cut what is left at the deadline."""
        self.goaway()
        lead_s = farewell_s(deadline_s)
        await asyncio.wait([self.closed], timeout=deadline_s - lead_s)
        if not self.closed.done():
            self.farewell()
            await asyncio.wait([self.closed], timeout=lead_s)
        if not self.closed.done():
            self._dialer.cancel()
            self.mux.cut()
            await asyncio.wait([self.closed], timeout=deadline_s)

    def farewell(self) -> None:
        """End every WebSocket whose TLS ends here with 1001."""
        for sink in self.mux.sinks():
            if isinstance(sink, TlsEnd):
                sink.goodbye()

    def abort(self) -> None:
        """Cut the connection and its streams at once."""
        self._dialer.cancel()
        self.mux.abort()

    def _on_closed(self, mux: Mux, error: PeerError | None) -> None:
        del mux
        self._dialer.cancel()
        if not self.closed.done():
            self.closed.set_result(error)

    def _accept(self, stream: Stream, request: OpenRequest) -> StreamSink | ResetCode:
        self._opened += 1
        followed = None
        if self._follow is not None:
            followed = stream.witness = self._follow(request)
        origin = self._origins.find(request.hostname)
        if isinstance(origin, ResetCode):
            return origin
        greeting = header(request) if origin.proxy_protocol else b""
        if origin.ssl_context is None:
            return self._dial(origin, request.hostname, greeting, stream, None)
        return TlsEnd(
            context=origin.ssl_context,
            stream=stream,
            loop=self._loop,
            limits=self._limits,
            on_secured=partial(self._dial_secured, followed, origin, request.hostname, greeting),
        )

    def _dial_secured(
        self,
        followed: FollowedStream | None,
        origin: Origin,
        hostname: str,
        greeting: bytes,
        far: Far,
        protocol: str | None,
    ) -> StreamSink:
        if followed is not None:
            followed.agreed(protocol)
        return self._dial(origin, hostname, greeting, far, protocol)

    def _dial(
        self, origin: Origin, hostname: str, greeting: bytes, far: Far, protocol: str | None
    ) -> StreamSink:
        end = SocketEnd(loop=self._loop, limits=self._limits, lost=ResetCode.ORIGIN_LOST, greeting=greeting)
        sink: StreamSink = end
        if origin.pins:
            secured = OriginTls(
                pins=origin.pins,
                protocol="h2" if protocol == "h2" else "http/1.1",
                hostname=hostname,
                far=far,
                socket=end,
                loop=self._loop,
                limits=self._limits,
            )
            sink, far = secured, secured.socket_side
        self._dialer.dial(
            lambda factory: self._loop.create_connection(factory, origin.host, origin.port), end, far
        )
        return sink


async def connect(
    address: tuple[str, int],
    *,
    ticket: JoinTicket,
    origins: OriginTable,
    limits: Limits,
    deadline_s: float,
    follow: Follow | None = None,
) -> DataConnection:
    """Dial a worker's data port and join; `follow` begins the access log's line of each stream.

    Raises:
        UnreachableError: nothing answered.
        PeerError: `pin_mismatch`, `alpn_mismatch`, `join_refused`, `data_deadline`.
    """
    loop = asyncio.get_running_loop()
    connection = DataConnection(loop=loop, limits=limits, origins=origins, follow=follow)
    joiner = _Joiner(loop=loop, ticket=ticket, mux=connection.mux)
    limit = asyncio.timeout(deadline_s)
    try:
        async with limit:
            await dial(loop, lambda: joiner, address)
            await joiner.joined
    except OSError as error:  # ssl.SSLError and TimeoutError are
        where = f"data connection to {address[0]}:{address[1]}"
        if limit.expired():
            raise PeerError("data_deadline", f"{where}: did not join within {deadline_s:g} s") from error
        raise UnreachableError(f"{where}: {error}") from error
    finally:
        if not joiner.succeeded:
            joiner.abort()
    return connection


class _Joiner(asyncio.Protocol):
    """Check the pin, send JOIN, check JOINED, hand the transport to the mux."""

    def __init__(self, *, loop: asyncio.AbstractEventLoop, ticket: JoinTicket, mux: Mux) -> None:
        self.joined: asyncio.Future[None] = loop.create_future()
        self.succeeded = False
        self._ticket = ticket
        self._mux = mux
        self._held = b""
        self._finished = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        try:
            self._send_join(self._transport)
        except TunnelError as error:
            self._fail(error)

    def data_received(self, data: bytes) -> None:
        if self.joined.done():
            return
        self._held += data
        if len(self._held) < JOINED_FRAME_BYTES:
            return
        try:
            terms, proof = decode_joined(self._held[:JOINED_FRAME_BYTES])
            check_proof(proof, self._ticket.proof(Direction.SERVER_TO_CLIENT, self._finished, terms))
        except MalformedError as error:
            self._fail(PeerError("join_refused", str(error)))
        except PeerError as error:
            self._fail(error)
        else:
            self._mux.peer = terms
            self._hand_over(self._held[JOINED_FRAME_BYTES:])

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(PeerError("join_refused", "closed before it answered", remote=True))

    def abort(self) -> None:
        if not self.joined.done():
            self.joined.cancel()
        elif not self.joined.cancelled():
            self.joined.exception()  # seen: the caller raises it, or something earlier
        if self._transport is not None:
            self._transport.abort()

    def _send_join(self, transport: asyncio.Transport) -> None:
        tls = cast("ssl.SSLObject", transport.get_extra_info("ssl_object"))
        certificate = tls.getpeercert(binary_form=True) or b""
        digest = hashlib.sha256(certificate).digest()
        if not hmac.compare_digest(digest, self._ticket.certificate_sha256):
            want = self._ticket.certificate_sha256.hex()
            raise PeerError("pin_mismatch", f"certificate {digest.hex()}, want {want}")
        if tls.selected_alpn_protocol() != ALPN:
            raise PeerError("alpn_mismatch", f"ALPN is {tls.selected_alpn_protocol()}, want {ALPN}")
        self._finished = client_finished(tls)
        ticket, terms = self._ticket, Terms.of(self._mux.limits)
        join = Join(
            session=ticket.session,
            epoch=ticket.epoch,
            worker=ticket.worker,
            counter=ticket.counter,
            terms=terms,
            proof=ticket.proof(Direction.CLIENT_TO_SERVER, self._finished, terms),
        )
        transport.write(join.encode())

    def _hand_over(self, rest: bytes) -> None:
        transport = cast("asyncio.Transport", self._transport)
        self.succeeded = True
        self.joined.set_result(None)
        transport.set_protocol(self._mux)
        self._mux.connection_made(transport)
        if rest:
            self._mux.data_received(rest)

    def _fail(self, error: TunnelError) -> None:
        if not self.joined.done():
            self.joined.set_exception(error)
        if self._transport is not None:
            self._transport.abort()
