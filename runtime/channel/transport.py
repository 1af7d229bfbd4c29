"""TLS 1.3 for session connections: pyOpenSSL over memory BIOs on an asyncio transport. I/O.

pyOpenSSL because the channel needs the exporter (RFC 8446 §7.5), which `ssl` does not have. One
Context per connection, tickets and session cache off: a resumed connection would carry evidence
of another one (docs/protocol.md §3). Certificates are not verified here on purpose: the peer's key
is whatever it is until evidence binds it; what is asserted is that there is one, on P-256.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

from runtime.channel import messages
from runtime.channel.boot_key import BootKey, spki_of
from runtime.channel.deadline import deadline
from runtime.channel.hello import Side
from runtime.channel.messages import Kind, Message
from runtime.errors import PeerError, UnreachableError
from runtime.limits import Limits
from runtime.sockets import tune

ALPN = b"tunnel-session/1"
EXPORT_SIZE = 32  # bytes
_READ_SIZE = 64 * 1024  # bytes per SSL_read
CLOSE_DEADLINE_S = 1.0
# The largest message while a peer reads slowly, beside what makes the next one wait (asyncio's high water).
_MOST_UNREAD_ANSWERS = messages.LIMITS[Kind.EVIDENCE] + 64 * 1024
_MESSAGE_COST = 128  # bytes that this side keeps of a message, however small


class ChannelTransport(asyncio.Protocol):
    """One session connection: TLS, and messages over it.

    `await established()` first; then `receive()` and `send()`. Whatever goes wrong ends in
    `PeerError` from `receive()` and `established()`, exactly once per waiter.
    """

    def __init__(self, side: Side, key: BootKey, limits: Limits) -> None:
        self._connection = SSL.Connection(_context(side, key), None)
        if side is Side.SERVER:
            self._connection.set_accept_state()
        else:
            self._connection.set_connect_state()
        self._key = key
        self._transport: asyncio.Transport | None = None
        self.limits = limits
        self._decoder = messages.Decoder(limits)
        self._inbox: deque[Message] = deque()
        self._unread = 0  # bytes of it
        self._most_unread = 1  # until both confirmed a stranger has one message here, then `unread_bytes`
        self._wake = asyncio.Event()
        self._handshaken = False
        self._aborted = False  # before there was a connection to abort
        self._made = asyncio.Event()
        self._failure: PeerError | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # -- for the session --------------------------------------------------------------------------

    @property
    def spki_own(self) -> bytes:
        """Our public key on this connection, DER."""
        return self._key.spki

    @property
    def spki_peer(self) -> bytes:
        """The peer's public key, taken from this very connection, DER."""
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        if certificate is None:
            raise PeerError("no_certificate", "the peer showed no certificate")
        return spki_of(certificate)

    @property
    def peer_address(self) -> str:
        """The peer's IP address, for logs."""
        name = self._transport.get_extra_info("peername") if self._transport else None
        return str(name[0]) if name else "unknown"

    def export(self, label: bytes, context: bytes) -> bytes:
        """Return 32 bytes of keying material bound to this connection (RFC 8446 §7.5)."""
        return self._connection.export_keying_material(label, EXPORT_SIZE, context)

    async def made(self) -> None:
        """Wait until there is a connection whose peer has an address, or none will be."""
        await self._made.wait()

    async def established(self) -> None:
        """Wait for the TLS handshake. Raises: PeerError."""
        while not self._handshaken:
            await self._awake()

    async def receive(self) -> Message:
        """Return the peer's next message. Raises: PeerError when there will be none."""
        while not self._inbox:
            await self._awake()
        was_full = self._full
        message = self._inbox.popleft()
        self._unread -= _cost(message)
        if was_full:
            self._go_on()
        return message

    def confirmed(self) -> None:
        """Keep `unread_bytes` from here on: the peer is somebody."""
        was_full, self._most_unread = self._full, self.limits.unread_bytes
        if was_full:
            self._go_on()

    async def send(self, message: Message) -> None:
        """Send one message, waiting while the peer reads too slowly. Raises: PeerError."""
        try:
            async with deadline(self.limits, "send_s", "the peer read nothing"):
                await self._writable.wait()
        except PeerError:  # it must not hold us, nor outlive its revocation
            self.abort()
            raise
        self.send_now(message)

    def send_now(self, message: Message) -> None:
        """Send one message without waiting; the caller bounds what can pile up. Raises: PeerError."""
        if self._failure is not None or self._transport is None or not self._handshaken:
            raise self._failure or PeerError("closed", "the connection is not open")
        try:
            self._connection.sendall(messages.encode(message))
        except SSL.Error as error:  # we sent close_notify ourselves, a moment ago
            raise PeerError("closed", f"TLS sends nothing more: {_reason(error)}") from error
        self._flush()

    def close(self) -> None:
        """Send close_notify and close once what was sent is out."""
        if self._transport is None:
            self.abort()
            return
        if self._transport.is_closing():
            return
        try:
            self._connection.shutdown()
            self._flush()
        except SSL.Error:
            pass  # the TLS layer is already broken: closing the socket says it
        self._transport.close()
        # A peer that does not read would keep the connection, and all that hangs on it, for ever.
        asyncio.get_running_loop().call_later(CLOSE_DEADLINE_S, self._transport.abort)

    def abort(self) -> None:
        """Close at once; a connection that is only about to be made is closed when it is."""
        self._aborted = True
        self._made.set()
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio.Protocol -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._made.set()
        tune(transport, dead_s=self.limits.silent_s)
        if self._aborted:  # turned away by whoever accepted it, before asyncio got here
            self._transport.abort()
        else:
            self._pump()

    def data_received(self, data: bytes) -> None:
        self._connection.bio_write(data)
        self._pump()

    def eof_received(self) -> bool:
        # TCP ended without close_notify: nothing more is believed of this connection.
        self._fail(PeerError("closed", "the peer closed the connection"))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(
            PeerError("closed", f"the connection was lost: {exc}" if exc else "the connection is closed")
        )
        self._writable.set()
        self._made.set()
        if not self.closed.done():
            self.closed.set_result(None)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # -- the TLS pump -----------------------------------------------------------------------------

    def _pump(self) -> None:
        """Run TLS as far as the bytes at hand allow."""
        try:
            if not self._handshaken:
                self._connection.do_handshake()
                self._assert_negotiated()
                self._handshaken = True
                self._wake.set()
            self._take(b"")  # what was left when the inbox was full
            while not self._full:
                self._take(self._connection.recv(_READ_SIZE))
        except SSL.WantReadError:
            self._answer()
        except SSL.ZeroReturnError:
            self._refuse(PeerError("closed", "the peer closed the session"))
        except SSL.Error as error:
            self._refuse(PeerError("tls", f"TLS failed: {_reason(error)}"))
        except PeerError as error:
            self._refuse(error)
        if self._full and self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    @property
    def _full(self) -> bool:
        return self._unread >= self._most_unread

    def _take(self, data: bytes) -> None:
        """Put messages into the inbox while there is room; the decoder keeps the rest."""
        for message in () if self._full else self._decoder.feed(data):
            self._inbox.append(message)
            self._unread += _cost(message)
            self._wake.set()
            if self._full:
                return

    def _go_on(self) -> None:
        """There may be room again: first for what TLS and the decoder hold, then for what the kernel does."""
        self._pump()
        if not self._full and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _assert_negotiated(self) -> None:
        if self._connection.get_alpn_proto_negotiated() != ALPN:
            raise PeerError("alpn", f"the peer does not speak {ALPN.decode()}")
        if self._connection.get_protocol_version_name() != "TLSv1.3":
            raise PeerError("tls", "TLS 1.3 was not negotiated")
        try:
            certificate = self._connection.get_peer_certificate(as_cryptography=True)
            public = certificate.public_key() if certificate is not None else None
        except (ValueError, TypeError, x509.InvalidVersion, UnsupportedAlgorithm) as error:
            raise PeerError("no_certificate", "the peer's certificate cannot be read") from error
        if not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.name != "secp256r1":
            raise PeerError("no_certificate", "want a certificate with a P-256 key")

    def _answer(self) -> None:
        """Send what TLS answers by itself, which waits for nobody: its handshake, KeyUpdates."""
        answered = self._flush()
        if not answered or self._transport is None:
            return
        waiting = self._transport.get_write_buffer_size()
        if waiting > _MOST_UNREAD_ANSWERS:  # KeyUpdate after KeyUpdate from a peer that reads no answer
            self._fail(
                PeerError("tls_unread", f"{waiting} bytes wait for a peer that reads no answer of TLS")
            )
            self._transport.abort()

    def _flush(self) -> int:
        """Hand over what TLS has to send; returns how many bytes."""
        sent = 0
        while self._transport is not None and not self._transport.is_closing():
            try:
                data = self._connection.bio_read(_READ_SIZE)
            except SSL.WantReadError:
                break
            self._transport.write(data)
            sent += len(data)
        return sent

    def _refuse(self, error: PeerError) -> None:
        self._flush()  # a TLS alert, where there is one
        self._fail(error)
        if self._transport is not None:
            self._transport.close()

    def _fail(self, error: PeerError) -> None:
        if self._failure is None:
            self._failure = error
        self._wake.set()

    async def _awake(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._wake.clear()
        await self._wake.wait()


async def connect(address: str, port: int, key: BootKey, limits: Limits) -> ChannelTransport:
    """Dial a tunnel server. Raises: UnreachableError, and PeerError from the TLS handshake."""
    loop = asyncio.get_running_loop()
    try:
        _, protocol = await loop.create_connection(
            lambda: ChannelTransport(Side.CLIENT, key, limits), address, port
        )
    except OSError as error:
        message = f"{address} port {port} did not answer: {error}"
        raise UnreachableError(message) from error
    try:
        await protocol.established()
    except BaseException:
        protocol.abort()
        raise
    return protocol


def _cost(message: Message) -> int:
    return len(message.payload) + _MESSAGE_COST


def _context(side: Side, key: BootKey) -> SSL.Context:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    # Ask for the peer's certificate, take any: trust comes from evidence bound to its key.
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
    context.use_certificate(key.certificate)
    context.use_privatekey(key.key)
    if side is Side.SERVER:
        context.set_alpn_select_callback(_select_alpn)
    else:
        context.set_alpn_protos([ALPN])
    return context


def _select_alpn(_connection: SSL.Connection, offered: list[bytes]) -> bytes:
    # Not NO_OVERLAPPING_PROTOCOLS, which would let a peer without ALPN through to the assertion.
    return ALPN if ALPN in offered else b"none"


def _reason(error: SSL.Error) -> str:
    details = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return "; ".join(str(detail[-1]) for detail in details) or "the peer broke the connection"
