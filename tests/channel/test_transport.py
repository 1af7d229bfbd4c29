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

from runtime.channel import messages, transport
from runtime.channel.boot_key import BootKey
from runtime.channel.hello import Side
from runtime.channel.messages import Kind, Message
from runtime.channel.transport import ALPN, ChannelTransport
from runtime.errors import PeerError, UnreachableError
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


# -- two of ours ------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def pair() -> AsyncGenerator[tuple[ChannelTransport, ChannelTransport], None]:
    async with parties.listening(KEY) as (port, accepted), asyncio.timeout(10):
        client = await transport.connect("127.0.0.1", port, OTHER, Limits())
        server = await accepted.get()
        await server.established()
        try:
            yield client, server
        finally:
            client.abort()
            server.abort()
            await asyncio.gather(client.closed, server.closed)


async def test_exporters_agree_at_both_ends_and_differ_between_connections() -> None:
    async with pair() as (client, server), pair() as (other, _):
        value = client.export(b"EXPORTER-test", b"context")
        assert len(value) == 32
        assert value == server.export(b"EXPORTER-test", b"context")
        assert value != other.export(b"EXPORTER-test", b"context")
        assert value != client.export(b"EXPORTER-test", b"another")
        assert value != client.export(b"EXPORTER-other", b"context")


async def test_each_end_sees_the_other_ends_key_and_address() -> None:
    async with pair() as (client, server):
        assert (client.spki_peer, server.spki_peer) == (KEY.spki, OTHER.spki)
        assert (client.peer_address, server.peer_address) == ("127.0.0.1", "127.0.0.1")


async def test_the_largest_message_of_each_kind_arrives_whole_and_one_byte_more_is_not_sent() -> None:
    async with pair() as (client, server):
        for kind, limit in messages.LIMITS.items():
            message = Message(kind, bytes(range(256)) * (limit // 256) + b"x" * (limit % 256))
            sending = asyncio.create_task(client.send(message))
            assert await server.receive() == message
            await sending
            with pytest.raises(PeerError, match="too_large"):
                await client.send(Message(kind, bytes(limit + 1)))


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (b"\x02\x04\x00\x01", "evidence_too_large"),  # EVIDENCE of 256 KiB and one byte
        (b"\x10\x01\x00\x01", "control_too_large"),
        (b"\x10\xff\xff\xff", "control_too_large"),
        (b"\x63\x00\x00\x00", "unknown_type"),
        (b"\x00\x00\x00\x00", "unknown_type"),
    ],
)
async def test_a_header_alone_is_enough_to_refuse(header: bytes, code: str) -> None:
    async with pair() as (client, server):
        client._connection.sendall(header)
        client._flush()
        with pytest.raises(PeerError) as caught:
            await server.receive()
        assert caught.value.code == code
        await server.closed


async def test_whoever_reads_slowly_makes_the_sender_wait_and_the_reader_keeps_little() -> None:
    """The server does not receive: its inbox stays bounded, and the client's `send` stops returning."""
    big = Message(Kind.CONTROL, b"z" * 60_000)
    sent = 0
    async with pair() as (client, server):

        async def flood() -> None:
            nonlocal sent
            while True:
                await client.send(big)
                sent += 1

        flooding = asyncio.create_task(flood())
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.15)
        assert not flooding.done()
        assert len(server._inbox) < transport._MAX_UNREAD + 8
        assert sent < 400  # 24 MB: what the kernel's buffers take at most, and not without end
        for _ in range(sent):
            assert await server.receive() == big
        await asyncio.sleep(0.05)
        assert sent > before  # and it goes on once somebody reads
        flooding.cancel()


async def test_what_was_sent_before_the_end_is_still_received() -> None:
    async with pair() as (client, server):
        for n in range(3):
            await client.send(Message(Kind.CONTROL, b"%d" % n))
        client.close()
        assert [(await server.receive()).payload for _ in range(3)] == [b"0", b"1", b"2"]
        for _ in range(2):
            with pytest.raises(PeerError, match="closed"):
                await server.receive()


async def test_every_waiter_hears_of_the_end() -> None:
    async with pair() as (client, server):
        waiting = asyncio.create_task(server.receive())
        await asyncio.sleep(0)
        client.abort()
        with pytest.raises(PeerError, match="closed"):
            await waiting
        with pytest.raises(PeerError, match="closed"):
            await server.send(CONTROL)
        with pytest.raises(PeerError, match="closed"):
            await client.send(CONTROL)


async def test_tcp_that_ends_without_close_notify_is_an_end_and_never_a_message() -> None:
    """Half of a message, then FIN: a truncation attack gets nothing through."""
    async with pair() as (client, server):
        client._connection.sendall(messages.encode(Message(Kind.CONTROL, b"{" + b" " * 100 + b"}"))[:50])
        client._flush()
        assert client._transport is not None
        client._transport.write_eof()
        with pytest.raises(PeerError, match="closed"):
            await server.receive()
        await server.closed


async def test_closing_twice_and_in_any_order_is_harmless() -> None:
    async with pair() as (client, server):
        for end in (client, server, client, server):
            end.close()
            end.abort()
            end.close()
        await asyncio.gather(client.closed, server.closed)
    never = ChannelTransport(Side.CLIENT, KEY, Limits())
    never.close()
    never.abort()
    assert never.peer_address == "unknown"
    with pytest.raises(PeerError, match="closed"):
        await never.send(CONTROL)
    with pytest.raises(PeerError, match="no_certificate"):
        _ = never.spki_peer


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


async def test_sending_before_tls_is_up_is_our_error() -> None:
    """A refusal is told to a peer that may never have finished TLS: that must not blow up."""
    async with parties.listening(KEY) as (port, accepted):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        with pytest.raises(PeerError, match="closed"):
            await (await accepted.get()).send(CONTROL)
        writer.close()
        await writer.wait_closed()


async def test_sending_after_our_own_close_is_our_error() -> None:
    async with pair() as (client, _):
        client.close()
        with pytest.raises(PeerError, match="closed"):
            await client.send(CONTROL)


async def test_nobody_there_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(UnreachableError, match=f"127.0.0.1 port {port}"):
        await transport.connect("127.0.0.1", port, KEY, Limits())
