"""TLS over memory BIOs: what comes in encrypted goes on plain, and back. I/O (loop timers only).

Needs no transport of its own, so it runs the same on every event loop. Who derives from it says where each
kind of byte goes; the handshake, close_notify as half-close in both directions, and failures are the same for
a visitor's TLS (`tls_end`) and an origin's (`origin_tls`).
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
import ssl
from collections.abc import Callable

from runtime.limits import Limits
from runtime.tunnel.frames import Chunk

_READ = 64 * 1024  # bytes of plaintext per call into OpenSSL


class TlsPump(abc.ABC):
    """One connection's TLS. The methods that only raise are the deriving class's to say."""

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        server_side: bool,
        hostname: str | None,
        put: Callable[[bytes], object],
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
    ) -> None:
        """`put` takes what is to go to the peer, encrypted. The handshake has `tls_s`."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=hostname
        )
        self._put = put
        self._over = False  # nothing more goes either way
        self._shaken = False  # the handshake is done
        self._ended_in = self._ended_out = False  # close_notify came; ours is out, or waits for the handshake
        self._timer: asyncio.TimerHandle | None = loop.call_later(limits.tls_s, self._late)

    # ------------------------------------------------------------------ what the deriving class says

    @abc.abstractmethod
    def _secured(self) -> None:
        """The handshake is done; our last flight goes with the next `_send`, and nothing went before."""

    @abc.abstractmethod
    def _plain(self, data: bytes) -> None:
        """Take what the peer sent."""

    @abc.abstractmethod
    def _ended(self) -> None:
        """The peer has said close_notify; what we send may go on."""

    @abc.abstractmethod
    def _answer(self) -> None:
        """More is needed of the peer; OpenSSL may have something to say by itself meanwhile."""

    @abc.abstractmethod
    def _failed(self, error: ssl.SSLError) -> None:
        """Give up what comes in; an alert is on its way."""

    @abc.abstractmethod
    def _unwritable(self) -> None:
        """Give up what goes out."""

    @abc.abstractmethod
    def _slow(self) -> None:
        """The handshake took too long."""

    # ------------------------------------------------------------------ for the deriving class

    def _pump(self) -> None:
        """Take in what is in the incoming BIO."""
        try:
            if not self._shaken:
                self._tls.do_handshake()
                self._shaken = True
                self._cancel_timer()
                self._secured()
            self._read_all()
        except ssl.SSLWantReadError:
            self._answer()
        except ssl.SSLError as error:
            self._send()  # OpenSSL has put an alert there
            self._failed(error)

    def _encrypt(self, data: Chunk) -> None:
        """Encrypt and send all of it."""
        if self._over:
            return
        try:
            view = memoryview(data)
            while view:
                view = view[self._tls.write(view) :]
        except ssl.SSLError:
            self._unwritable()
            return
        self._send()

    def _close_notify(self) -> None:
        """Say that no more comes; what the peer sends is still taken."""
        with contextlib.suppress(ssl.SSLError):  # "want read": ours is out, the peer's is not here yet
            self._tls.unwrap()
        self._send()

    def _send(self) -> None:
        """Send what is encrypted."""
        if self._outgoing.pending and not self._over:
            self._put(self._outgoing.read())

    def _close(self) -> None:
        """Let nothing more through, and tell nobody."""
        self._over = True
        self._cancel_timer()

    # ------------------------------------------------------------------ inside

    def _read_all(self) -> None:
        while not self._over and not self._ended_in:
            try:
                plain = self._tls.read(_READ)
            except ssl.SSLZeroReturnError:  # what a close_notify reads as once ours is out; before, as b""
                plain = b""
            if not plain:
                self._ended_in = True
                self._ended()
                return
            self._plain(plain)

    def _late(self) -> None:
        self._timer = None
        self._slow()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
