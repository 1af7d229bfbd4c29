"""TLS from the tunnel client to an origin elsewhere, pinned by certificate. I/O (loop timers, log lines).

No byte of a visitor leaves before the origin has shown one of the pinned certificates and agreed to the
protocol that the visitor speaks. Names, authorities and dates of that certificate mean nothing: the pin
is the trust. Stands between the visitor's `TlsEnd` and the origin's socket.

close_notify is half-close in both directions; a socket that ends without one is a truncation and looks
like one to the visitor. Plaintext counts as consumed once its encrypted form has left this process.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import ssl
from functools import cache
from typing import Literal, TypeAlias

from runtime.limits import Limits
from runtime.tunnel.frames import Chunk, ResetCode
from runtime.tunnel.stream import Far, StreamSink
from runtime.tunnel.tls_pump import TlsPump

log = logging.getLogger("tunnel.origin")

Protocol: TypeAlias = Literal["h2", "http/1.1"]


@cache
def pinned_context(protocol: Protocol) -> ssl.SSLContext:
    """Make the client-side context that offers one protocol; `OriginTls` compares the certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # trust is the pin, which is compared before a byte is sent
    context.set_alpn_protocols([protocol])
    return context


class OriginTls(TlsPump):
    """`StreamSink` of a visitor's plaintext; `socket_side` is the `Far` of the origin's socket."""

    def __init__(
        self,
        *,
        pins: frozenset[bytes],
        protocol: Protocol,
        hostname: str,
        far: Far,
        socket: StreamSink,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
    ) -> None:
        """`pins` are SHA-256 of the certificate's DER; `hostname` is the visitor's, and goes as SNI."""
        super().__init__(
            pinned_context(protocol),
            server_side=False,
            hostname=hostname,
            put=self._to_socket,
            loop=loop,
            limits=limits,
        )
        self.socket_side = _SocketSide(self)
        self._pins, self._protocol, self._hostname = pins, protocol, hostname
        self._far, self._socket, self._limits = far, socket, limits
        self._early: bytearray | None = bytearray()  # until the handshake is done; within the stream's credit
        self._owed = 0  # plaintext taken from the visitor, not yet given back
        self._unsent = 0  # encrypted bytes that the socket has not consumed
        self._pump()

    # ------------------------------------------------------------------ from the visitor

    def data(self, chunk: Chunk) -> None:
        """See `StreamSink.data`."""
        if self._over or self._ended_out:
            return
        self._owed += len(chunk)
        if self._early is not None:
            self._early += chunk
        else:
            self._encrypt(chunk)

    def end(self) -> None:
        """See `StreamSink.end`: close_notify, then FIN."""
        if self._over or self._ended_out:
            return
        self._ended_out = True
        if self._early is None:
            self._finish_out()

    def reset(self, code: ResetCode) -> None:
        """See `StreamSink.reset`."""
        if not self._over:
            self._close()
            self._socket.reset(code)

    def pause(self) -> None:
        """See `StreamSink.pause`."""
        self._socket.pause()

    def resume(self) -> None:
        """See `StreamSink.resume`."""
        self._socket.resume()

    # ------------------------------------------------------------------ from the origin's socket

    def socket_sent(self, data: Chunk) -> None:
        """Decrypt what came; at most one read of the socket, which the visitor's side may then pause."""
        if self._over or self._ended_in:
            return  # bytes behind a close_notify are nobody's: RFC 8446 §6.1
        self._incoming.write(data)
        self._pump()

    def socket_ended(self) -> None:
        """FIN: fine behind a close_notify, else a truncation that the visitor has to see as one."""
        if not self._over and not self._ended_in:
            self._cut(ResetCode.ORIGIN_LOST if self._early is None else ResetCode.ORIGIN_TLS)

    def socket_reset(self, code: ResetCode) -> None:
        """The socket is gone, or never was."""
        if not self._over:
            self._close()
            self._far.reset(code)

    def socket_consumed(self, size: int) -> None:
        """That many encrypted bytes have left this process."""
        self._unsent -= size
        self._give_back()

    # ------------------------------------------------------------------ inside

    def _secured(self) -> None:
        # Nothing of ours is out yet but the ClientHello: our Finished waits for this check.
        digest = hashlib.sha256(self._tls.getpeercert(binary_form=True) or b"").digest()
        if digest not in self._pins:
            wanted = " or ".join(sorted(pin.hex() for pin in self._pins))
            self._refuse(f"certificate is {digest.hex()}, want {wanted}")
            return
        spoken = self._tls.selected_alpn_protocol()
        if spoken != self._protocol and (spoken is not None or self._protocol == "h2"):
            self._refuse(f"protocol is {spoken}, want {self._protocol}")
            return
        early, self._early = bytes(self._early or b""), None
        self._send()
        if early:
            self._encrypt(early)
        if self._ended_out:
            self._finish_out()

    def _plain(self, data: bytes) -> None:
        self._far.write(data)

    def _ended(self) -> None:
        self._far.end()

    def _answer(self) -> None:
        self._send()
        if self._unsent > self._limits.stalled_bytes:  # KeyUpdates from an origin that reads no answer
            self._cut(ResetCode.ORIGIN_LOST)

    def _failed(self, error: ssl.SSLError) -> None:
        if self._early is not None:
            self._refuse(f"TLS failed: {error.reason or error}")
        else:
            self._cut(ResetCode.ORIGIN_LOST)

    def _unwritable(self) -> None:
        self._cut(ResetCode.ORIGIN_LOST)

    def _slow(self) -> None:
        self._refuse(f"silent for {self._limits.tls_s:g} s")

    def _finish_out(self) -> None:
        self._close_notify()
        if not self._over:
            self._socket.end()

    def _to_socket(self, data: bytes) -> None:
        self._unsent += len(data)  # before the call: the socket may consume at once
        self._socket.data(data)

    def _give_back(self) -> None:
        if self._owed and not self._unsent and self._early is None:
            owed, self._owed = self._owed, 0
            self._far.consumed(owed)

    def _refuse(self, why: str) -> None:
        log.warning("origin refused", extra={"fields": {"hostname": self._hostname, "detail": why}})
        self._cut(ResetCode.ORIGIN_TLS)

    def _cut(self, code: ResetCode) -> None:
        if not self._over:
            self._close()
            self._socket.reset(code)
            self._far.reset(code)

    def _close(self) -> None:
        super()._close()
        self._early = None


class _SocketSide:
    """The `Far` of the origin's socket."""

    __slots__ = ("_tls",)

    def __init__(self, tls: OriginTls) -> None:
        self._tls = tls

    def write(self, data: Chunk) -> None:
        self._tls.socket_sent(data)

    def end(self) -> None:
        self._tls.socket_ended()

    def reset(self, code: ResetCode) -> None:
        self._tls.socket_reset(code)

    def consumed(self, size: int) -> None:
        self._tls.socket_consumed(size)
