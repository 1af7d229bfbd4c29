"""TLS of the session connection, against peers that are not ours: OpenSSL directly, or bytes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from runtime.channel import transport
from runtime.channel.boot_key import BootKey
from runtime.channel.messages import Kind, Message
from runtime.channel.transport import ALPN, ChannelTransport
from runtime.errors import PeerError
from runtime.limits import Limits
from tests.channel import parties
from tests.fakes.fleets import NOW

KEY = BootKey.create("tunnel.test", NOW)
OTHER = BootKey.create("mallory.test", NOW)
CONTROL = Message(Kind.CONTROL, b"{}")
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(kw_only=True)
class Peer:
    """What a stranger's TLS looks like; as given, it is exactly what we want."""

    alpn: list[bytes] = field(default_factory=lambda: [ALPN])
    key: PrivateKey | None = field(default_factory=lambda: OTHER.key)
    versions: tuple[int, int] = (SSL.TLS1_3_VERSION, SSL.TLS1_3_VERSION)

    def context(self) -> SSL.Context:
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_min_proto_version(self.versions[0])
        context.set_max_proto_version(self.versions[1])
        context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
        context.set_session_cache_mode(SSL.SESS_CACHE_BOTH)
        context.set_session_id(b"test")
        if self.key is not None:
            context.use_privatekey(self.key)
            context.use_certificate(self_signed(self.key))
        if self.alpn:
            context.set_alpn_protos(self.alpn)
            context.set_alpn_select_callback(lambda _, offered: self.alpn[0])
        return context


def self_signed(key: PrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7)
    life = (KEY.certificate.not_valid_before_utc, KEY.certificate.not_valid_after_utc)
    return builder.not_valid_before(life[0]).not_valid_after(life[1]).sign(key, hashes.SHA256())


def dial(port: int, peer: Peer, then: Callable[[SSL.Connection], None], **session: Any) -> SSL.Connection:
    """Be a TLS client with blocking sockets; `then` runs after the handshake."""
    raw = socket.create_connection(("127.0.0.1", port), timeout=5)
    raw.settimeout(None)
    connection = SSL.Connection(peer.context() if "context" not in session else session["context"], raw)
    if session.get("session") is not None:
        connection.set_session(session["session"])
    connection.set_connect_state()
    with contextlib.closing(raw), contextlib.suppress(SSL.Error):
        connection.do_handshake()
        then(connection)
    return connection


def drain(connection: SSL.Connection) -> None:
    """Read until the other side is done."""
    with contextlib.suppress(SSL.Error):
        while connection.recv(65536):
            pass


async def refused_by_server(peer: Peer) -> PeerError:
    async with parties.listening(KEY) as (port, accepted):
        dialling = asyncio.create_task(asyncio.to_thread(dial, port, peer, drain))
        ours = await accepted.get()
        async with asyncio.timeout(20):
            with pytest.raises(PeerError) as caught:
                await ours.established()
            await ours.closed
        await dialling
        return caught.value


@contextlib.asynccontextmanager
async def peer_listening(peer: Peer) -> AsyncGenerator[int, None]:
    """A TLS server of somebody else's, for one connection."""

    def serve(listener: socket.socket) -> None:
        raw, _ = listener.accept()
        with contextlib.closing(raw), contextlib.suppress(SSL.Error):
            connection = SSL.Connection(peer.context(), raw)
            connection.set_accept_state()
            connection.do_handshake()
            drain(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(asyncio.to_thread(serve, listener))
        yield listener.getsockname()[1]
        async with asyncio.timeout(20):
            await serving


async def refused_by_client(peer: Peer) -> PeerError:
    async with peer_listening(peer) as port, asyncio.timeout(20):
        with pytest.raises(PeerError) as caught:
            await transport.connect("127.0.0.1", port, KEY, Limits())
        return caught.value


P384, RSA = ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)
K256 = ec.generate_private_key(ec.SECP256K1())
OLD = (SSL.TLS1_2_VERSION, SSL.TLS1_2_VERSION)
STRANGERS = {
    "no alpn": (Peer(alpn=[]), "alpn"),
    # OpenSSL refuses an answer that was not offered before our own assertion could.
    "wrong alpn": (Peer(alpn=[b"h2"]), "tls"),
    "data alpn": (Peer(alpn=[b"tunnel-data/1"]), "tls"),
    "no certificate": (Peer(key=None), "tls"),
    "p-384": (Peer(key=P384), "no_certificate"),
    # OpenSSL itself will not sign TLS 1.3 with it.
    "secp256k1": (Peer(key=K256), "tls"),
    "rsa": (Peer(key=RSA), "no_certificate"),
    "tls 1.2": (Peer(versions=OLD), "tls"),
}


@pytest.mark.parametrize("name", list(STRANGERS))
async def test_a_server_refuses_strangers(name: str) -> None:
    peer, code = STRANGERS[name]
    assert (await refused_by_server(peer)).code == code


@pytest.mark.parametrize("name", list(STRANGERS))
async def test_a_client_refuses_strangers(name: str) -> None:
    peer, code = STRANGERS[name]
    assert (await refused_by_client(peer)).code == code


async def test_a_stranger_who_does_it_right_gets_through_tls_and_no_further() -> None:
    """The control: nothing but the named change makes the cases above fail."""
    async with peer_listening(Peer()) as port:
        ours = await transport.connect("127.0.0.1", port, KEY, Limits())
        assert ours.spki_peer == OTHER.spki
        assert ours.spki_own == KEY.spki
        ours.close()
        await ours.closed


async def test_no_session_is_ever_resumed() -> None:
    """The stranger keeps a session and offers it on a second connection with the same context."""
    peer = Peer()
    context = peer.context()
    kept: list[Any] = []
    reused: list[bool] = []

    def keep(connection: SSL.Connection) -> None:
        drain(connection)
        kept.append(connection.get_session())
        reused.append(bool(SSL._lib.SSL_session_reused(connection._ssl)))  # type: ignore[attr-defined]  # not wrapped

    async with parties.listening(KEY) as (port, accepted):
        for _ in range(2):
            session = kept[-1] if kept else None
            work = asyncio.to_thread(dial, port, peer, keep, context=context, session=session)
            dialling = asyncio.create_task(work)
            ours = await accepted.get()
            await ours.established()
            assert ours.spki_peer == OTHER.spki  # a resumed TLS 1.3 connection shows no certificate
            await ours.send(CONTROL)
            ours.close()
            await dialling
    assert reused == [False, False]


# -- bytes that are no TLS ----------------------------------------------------------------------------

NOT_TLS = {
    "http": b"GET / HTTP/1.1\r\nHost: tunnel.test\r\n\r\n",
    "zeros": bytes(100),
    "garbage": bytes(range(256)) * 20,
    "a record that claims too much": b"\x16\x03\x01\xff\xff" + bytes(70_000),
    "half a hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "nothing": b"",
}


@pytest.mark.parametrize("name", list(NOT_TLS))
async def test_bytes_that_are_no_tls_end_in_our_error(name: str) -> None:
    async with parties.listening(KEY) as (port, accepted):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(NOT_TLS[name])
        writer.write_eof()
        ours = await accepted.get()
        async with asyncio.timeout(20):
            with pytest.raises(PeerError) as caught:
                await ours.established()
            assert caught.value.code in {"tls", "closed"}
            with pytest.raises(PeerError):
                await ours.send(CONTROL)
            await ours.closed
            with contextlib.suppress(ConnectionError):
                await reader.read()
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("name", list(NOT_TLS))
async def test_a_server_that_is_no_tls_is_our_error_too(name: str) -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(NOT_TLS[name])
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, asyncio.timeout(20):
        with pytest.raises(PeerError) as caught:
            await transport.connect("127.0.0.1", server.sockets[0].getsockname()[1], KEY, Limits())
        assert caught.value.code in {"tls", "closed"}


# -- what a stranger makes this side hold -------------------------------------------------------------


async def waiting_at(peer: ChannelTransport, one: Message) -> int:
    """Send until the other side takes no more; returns how many messages left."""
    sent = 0

    async def flood() -> None:
        nonlocal sent
        while True:
            await peer.send(one)
            sent += 1

    flooding = asyncio.create_task(flood())
    before = -1
    while before != sent:
        before = sent
        await asyncio.sleep(0.2)
    flooding.cancel()
    return sent


@pytest.mark.parametrize("one", [Message(Kind.EVIDENCE, bytes(256 * 1024)), Message(Kind.CONFIRM, b"")])
async def test_until_both_confirmed_one_message_waits_and_the_rest_is_the_senders(one: Message) -> None:
    """Whoever has shown nothing sends evidence after evidence while this side appraises or collects."""
    async with parties.listening(KEY) as (port, accepted), asyncio.timeout(30):
        stranger = await transport.connect("127.0.0.1", port, OTHER, Limits(send_s=60))
        server = await accepted.get()
        await server.established()
        if one.payload:
            assert await waiting_at(stranger, one) < 64  # 16 MiB: the kernel's buffers hold some, we do not
        else:
            for _ in range(20_000):
                stranger.send_now(one)
            while not server._inbox:  # noqa: ASYNC110 - nothing tells a test that bytes arrived
                await asyncio.sleep(0.01)
        assert len(server._inbox) == 1
        assert len(server._decoder._buffer) <= 64 * 1024  # one read of TLS
        for _ in range(3):
            assert await server.receive() == one
            assert len(server._inbox) <= 1
        stranger.abort()
        server.abort()
        await asyncio.gather(stranger.closed, server.closed)
