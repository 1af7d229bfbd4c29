"""A visitor's socket at the tunnel server: read the ClientHello, route, then only copy. I/O.

Nobody waits for a silent server: whoever cannot be routed is told at once, by a TLS alert or, when
plain HTTP came to the TLS port, by a readable 400.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Protocol, cast

from runtime.errors import MalformedError, TunnelError
from runtime.limits import Limits
from runtime.tunnel.access_log import new_request_id
from runtime.tunnel.client_hello import (
    DECODE_ERROR,
    INTERNAL_ERROR,
    UNRECOGNIZED_NAME,
    ClientHello,
    HelloReader,
    HelloTooLargeError,
    NotTls,
    alert,
)
from runtime.tunnel.frames import MAX_FIRST, Chunk, Endpoint, OpenRequest, ResetCode
from runtime.tunnel.http1 import BAD_REQUEST, is_http, may_be_http
from runtime.tunnel.routing import NoRouteError
from runtime.tunnel.socket_end import SocketEnd, abort, write_eof
from runtime.tunnel.stream import Far, StreamSink

_LEAVE_S = 1.0  # for the last answer to arrive before the socket goes


class Refusal(StrEnum):
    """Why a visitor was turned away; also the keys of `control.Counters.refused`."""

    NO_ROUTE = "no_route"
    NO_NAME = "no_name"
    MALFORMED = "malformed_hello"
    TOO_LARGE = "hello_too_large"
    PLAIN_HTTP = "plain_http"
    HELLO_DEADLINE = "hello_deadline"
    TOO_MANY = "too_many_visitors"
    TOO_MANY_STREAMS = "too_many_streams"  # every data connection of those that serve the hostname is full
    TUNNEL_NAME_BUSY = "tunnel_name_busy"
    RESET = "stream_reset"  # the client refused or lost the stream before the first byte came back


class NoRoomError(TunnelError):
    """The hostname is served here, and a limit leaves no room for this visitor; `reason` says which."""

    exit_status = 30

    def __init__(self, reason: Refusal, detail: str) -> None:
        self.reason, self.code = reason, reason.value
        super().__init__(detail)


class Switch(Protocol):
    """What a visitor's socket needs of its worker."""

    def open(self, request: OpenRequest, visitor: StreamSink, alpn: tuple[bytes, ...]) -> Far:
        """Start the stream; the first bytes are then on their way. Raises NoRouteError, NoRoomError."""
        ...

    def refused(self, reason: Refusal, visitor: Visitor, hello: ClientHello | None) -> None:
        """Count a visitor who was turned away, by its hello if it came."""
        ...

    def arrived(self, visitor: Visitor) -> bool:
        """Take the visitor in; False when there is no room."""
        ...

    def left(self, visitor: Visitor) -> None:
        """Forget a visitor that `arrived`."""
        ...


class Visitor(SocketEnd):
    """A visitor's socket at the server: reads the ClientHello, gets routed, then is only copied."""

    __slots__ = ("_answered", "_leaving", "_peek", "_reader", "_switch")

    def __init__(self, *, loop: asyncio.AbstractEventLoop, limits: Limits, switch: Switch) -> None:
        super().__init__(loop=loop, limits=limits, lost=ResetCode.VISITOR_LOST)
        self._switch = switch
        self._reader: HelloReader | None = HelloReader(max_bytes=limits.hello_bytes)
        self._answered = False  # the visitor has had bytes of its own TLS peer
        self._leaving = False  # our last answer is on its way; nothing is read any more

    @property
    def address(self) -> Endpoint:
        """Where the visitor comes from; zeros when it had gone before we asked."""
        return _endpoint(self._transport, "peername")

    @property
    def reading(self) -> bool:
        """Whether the ClientHello is not complete yet."""
        return self._reader is not None and not self._leaving

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if not self._switch.arrived(self):
            self._reader = None
            self._leaving = True
            self._switch.refused(Refusal.TOO_MANY, self, None)
            abort(cast("asyncio.Transport", transport))
            return
        self._timer = self._loop.call_later(self._limits.hello_s, self._too_slow)

    def data_received(self, data: bytes) -> None:
        far = self._far
        if far is not None:
            self._active = True
            far.write(data)
        elif self._reader is not None:
            self._read_hello(self._reader, data)

    def eof_received(self) -> bool:
        if self._far is None:
            return False
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._reader = None
        self._switch.left(self)

    def data(self, chunk: Chunk) -> None:
        """See `StreamSink.data`."""
        self._answered = True
        super().data(chunk)

    def reset(self, code: ResetCode) -> None:
        """See `StreamSink.reset`. A visitor that has had nothing yet is told by an alert."""
        if self._answered or self._ended_out:
            super().reset(code)
            return
        unknown = code in (ResetCode.NOT_GRANTED, ResetCode.NO_ROUTE)
        self._refuse(Refusal.RESET, alert(UNRECOGNIZED_NAME if unknown else INTERNAL_ERROR))

    def _read_hello(self, reader: HelloReader, data: bytes) -> None:
        try:
            reading = reader.feed(data)
        except HelloTooLargeError:
            self._refuse(Refusal.TOO_LARGE, alert(DECODE_ERROR))
            return
        except MalformedError:
            self._refuse(Refusal.MALFORMED, alert(DECODE_ERROR))
            return
        if isinstance(reading, ClientHello):
            self._route(reading)
        elif isinstance(reading, NotTls):
            if is_http(reading.raw):
                self._refuse(Refusal.PLAIN_HTTP, BAD_REQUEST)
            elif not may_be_http(reading.raw):
                self._refuse(Refusal.MALFORMED, alert(DECODE_ERROR))

    def _route(self, hello: ClientHello) -> None:
        if hello.sni is None:
            self._refuse(Refusal.NO_NAME, alert(UNRECOGNIZED_NAME), hello)
            return
        try:
            request = OpenRequest(
                request_id=new_request_id(),
                hostname=hello.sni,
                visitor=self.address,
                server=_endpoint(self._transport, "sockname"),
                first=hello.raw[:MAX_FIRST],
            )
            far = self._switch.open(request, self, hello.alpn)
        except NoRouteError:
            self._refuse(Refusal.NO_ROUTE, alert(UNRECOGNIZED_NAME), hello)
            return
        except NoRoomError as error:
            self._refuse(error.reason, alert(INTERNAL_ERROR), hello)
            return
        self._reader = None
        self._cancel_timer()
        self.join(far)
        if len(hello.raw) > MAX_FIRST:
            far.write(hello.raw[MAX_FIRST:])

    def _too_slow(self) -> None:
        self._timer = None
        self._refuse(Refusal.HELLO_DEADLINE, b"")

    def _refuse(self, reason: Refusal, answer: bytes, hello: ClientHello | None = None) -> None:
        self._far = None
        self._reader = None
        self._cancel_timer()
        transport = self._transport
        if self._leaving or transport is None or transport.is_closing():
            return
        self._leaving = True
        self._switch.refused(reason, self, hello)
        if answer:
            transport.resume_reading()  # unread bytes in the kernel would turn our close into a reset
            transport.write(answer)
            write_eof(transport)
            self._timer = self._loop.call_later(_LEAVE_S, transport.abort)
        else:
            transport.abort()


def _endpoint(transport: asyncio.Transport | None, which: str) -> Endpoint:
    name: object = None if transport is None else transport.get_extra_info(which)
    if isinstance(name, tuple):
        host, port = cast("tuple[str, int]", name[:2])  # pyright: ignore[reportUnknownMemberType]
        try:
            return Endpoint.of(host, port)
        except MalformedError:
            pass
    return Endpoint(address=bytes(16), port=0)  # gone before we asked
