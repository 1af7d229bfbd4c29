"""End a visitor's TLS at the tunnel client, between a stream and a plaintext origin. I/O (loop timers only).

close_notify is half-close in both directions; an end without it is a truncation and cuts the origin.
Plaintext is consumed before the encrypted bytes count as consumed: the credit bounds what is held.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

from runtime.limits import Limits
from runtime.memory_chain import load_chain
from runtime.tunnel.frames import Chunk, ResetCode
from runtime.tunnel.stream import Far, StreamSink
from runtime.tunnel.tls_pump import TlsPump
from runtime.tunnel.websocket import GOING_AWAY, WebSocketWatch


def visitor_context(
    certificate_pem: bytes, key_pem: bytes, protocols: tuple[str, ...] = ("http/1.1",)
) -> ssl.SSLContext:
    """Make the server-side context for services whose TLS ends here. Raises UsageError.

    `protocols` are the ALPN names on offer, best first; a visitor who offers none of them, or no ALPN,
    is served without one, as HTTP/1.1.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION
    context.num_tickets = 0  # a ticket would be for one client, and the next visit goes to another
    context.set_alpn_protocols(list(protocols))
    load_chain(context, certificate_pem, key_pem)
    return context


class TlsEnd(TlsPump):
    """`StreamSink` of a stream of TLS bytes; the origin's socket talks to it through an `_OriginSide`."""

    def __init__(
        self,
        *,
        context: ssl.SSLContext,
        stream: Far,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        on_secured: Callable[[Far, str | None], StreamSink],
    ) -> None:
        super().__init__(context, server_side=True, hostname=None, put=stream.write, loop=loop, limits=limits)
        self._stream = stream
        self._on_secured = on_secured  # with the ALPN, after the handshake: only then is the origin dialled
        self._origin: StreamSink | None = None
        self._paused = False
        self._most_unread = limits.tls_unread_bytes
        self._owed = 0  # encrypted bytes read from the stream, not yet given back
        self._unread = 0  # bytes OpenSSL answered while the visitor did not read
        self._held = 0  # plaintext bytes the origin has not consumed
        self._watch: WebSocketWatch | None = None
        self._leaving = False  # 1001 goes out between the next two frames

    # ------------------------------------------------------------------ from the stream

    def data(self, chunk: Chunk) -> None:
        """See `StreamSink.data`."""
        if self._over:
            return
        if self._ended_in:
            self._stream.consumed(len(chunk))  # bytes behind a close_notify are nobody's: RFC 8446 §6.1
            return
        self._incoming.write(chunk)
        self._owed += len(chunk)
        self._pump()
        self._give_back()

    def end(self) -> None:
        """See `StreamSink.end`. Without a close_notify before, it cuts."""
        if not self._over and not self._ended_in:
            self._cut(ResetCode.VISITOR_LOST)

    def reset(self, code: ResetCode) -> None:
        """See `StreamSink.reset`."""
        if not self._over:
            self._close()
            if self._origin is not None:
                self._origin.reset(code)

    def pause(self) -> None:
        """See `StreamSink.pause`."""
        self._paused = True
        if self._origin is not None:
            self._origin.pause()

    def resume(self) -> None:
        """See `StreamSink.resume`."""
        self._paused = False
        self._unread = 0
        if self._origin is not None:
            self._origin.resume()

    # ------------------------------------------------------------------ from the origin

    def origin_sent(self, data: Chunk) -> None:
        """Encrypt what the origin sent: at most one read of it, then the stream pauses it."""
        if self._over or self._ended_out:
            return
        if self._watch is not None:
            end = self._watch.response(data)
            if self._watch.over:
                self._watch = None
            elif self._leaving and end:
                self._say_goodbye(memoryview(data)[:end])
                return
        self._encrypt(data)

    def goodbye(self) -> None:
        """End a WebSocket with 1001 (going away); nothing happens to other connections."""
        if self._over or self._ended_out or self._watch is None or self._leaving:
            return
        self._leaving = True
        if self._watch.may_close:
            self._say_goodbye(b"")

    def _say_goodbye(self, before: Chunk) -> None:
        if before:
            self._encrypt(before)
        self._encrypt(GOING_AWAY)
        self.origin_ended()  # what the origin still sends is nobody's; the visitor's own CLOSE reaches it

    def origin_ended(self) -> None:
        """The origin sends no more: close_notify, then END; the visitor may go on sending."""
        if self._over or self._ended_out:
            return
        self._ended_out = True
        self._close_notify()
        self._stream.end()
        self._close_if_done()

    def origin_reset(self, code: ResetCode) -> None:
        """The origin was lost: the visitor sees its TLS cut, without close_notify."""
        if not self._over:
            self._close()
            self._stream.reset(code)

    def origin_consumed(self, size: int) -> None:
        """That much plaintext has left this process."""
        self._held -= size
        self._give_back()

    # ------------------------------------------------------------------ inside

    def _secured(self) -> None:
        self._send()
        protocol = self._tls.selected_alpn_protocol()
        if protocol != "h2":
            self._watch = WebSocketWatch()
        self._origin = self._on_secured(_OriginSide(self), protocol)
        if self._paused:
            self._origin.pause()

    def _plain(self, data: bytes) -> None:
        self._held += len(data)
        if self._watch is not None:
            self._watch.request(data)
        if self._origin is not None:
            self._origin.data(data)

    def _ended(self) -> None:
        if self._origin is not None:
            self._origin.end()
        self._close_if_done()

    def _failed(self, error: ssl.SSLError) -> None:
        del error
        self._close()
        self._stream.end()  # a reset would overtake the alert; the visitor's own end closes the rest
        if self._origin is not None:
            self._origin.reset(ResetCode.HANDSHAKE)

    def _unwritable(self) -> None:
        self._cut(ResetCode.HANDSHAKE)

    def _slow(self) -> None:
        self._cut(ResetCode.TLS_DEADLINE)

    def _answer(self) -> None:
        """Send what OpenSSL answers by itself: handshake messages, KeyUpdates."""
        if self._paused:
            self._unread += self._outgoing.pending
            if (
                self._unread > self._most_unread
            ):  # KeyUpdate after KeyUpdate from a visitor who reads no answer
                self._cut(ResetCode.TLS_UNREAD)
                return
        self._send()

    def _give_back(self) -> None:
        if not self._held and self._owed:
            owed, self._owed = self._owed, 0
            self._stream.consumed(owed)

    def _cut(self, code: ResetCode) -> None:
        self._close()
        if self._origin is not None:
            self._origin.reset(code)
        self._stream.reset(code)

    def _close_if_done(self) -> None:
        if self._ended_in and self._ended_out:
            self._close()


class _OriginSide:
    """The `Far` of the origin's socket."""

    def __init__(self, tls: TlsEnd) -> None:
        self._tls = tls

    def write(self, data: Chunk) -> None:
        self._tls.origin_sent(data)

    def end(self) -> None:
        self._tls.origin_ended()

    def reset(self, code: ResetCode) -> None:
        self._tls.origin_reset(code)

    def consumed(self, size: int) -> None:
        self._tls.origin_consumed(size)
