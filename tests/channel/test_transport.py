"""Two ends of a session connection, both ours: exporters, messages, slow readers, and every kind of end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from cryptography.hazmat.bindings._rust import _openssl

from runtime.channel import messages, transport
from runtime.channel.boot_key import BootKey
from runtime.channel.hello import Side
from runtime.channel.messages import Kind, Message
from runtime.channel.transport import ChannelTransport
from runtime.errors import PeerError, UnreachableError
from runtime.limits import Limits
from tests.channel import parties
from tests.fakes.fleets import NOW

KEY = BootKey.create("tunnel.test", NOW)
OTHER = BootKey.create("mallory.test", NOW)
lib: Any = _openssl.lib
CONTROL = Message(Kind.CONTROL, b"{}")


@contextlib.asynccontextmanager
async def pair() -> AsyncGenerator[tuple[ChannelTransport, ChannelTransport], None]:
    async with parties.listening(KEY) as (port, accepted), asyncio.timeout(20):
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
        server.confirmed()

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
        assert sum(len(one.payload) for one in server._inbox) < Limits().unread_bytes + len(big.payload)
        assert sent < 400  # 24 MB: what the kernel's buffers take at most, and not without end
        for _ in range(sent):
            assert await server.receive() == big
        async with asyncio.timeout(20):
            while sent == before:  # noqa: ASYNC110 - it goes on once somebody reads
                await asyncio.sleep(0.01)
        flooding.cancel()


async def test_messages_of_no_bytes_are_bounded_too() -> None:
    """One of four bytes on the wire costs this side more, and counts for that."""
    async with pair() as (client, server):
        server.confirmed()
        for _ in range(10_000):
            client.send_now(Message(Kind.CONTROL, b""))
        client.send_now(CONTROL)
        async with asyncio.timeout(20):
            while not server._full:  # noqa: ASYNC110 - nothing tells a test that bytes arrived
                await asyncio.sleep(0.01)
        assert len(server._inbox) <= Limits().unread_bytes // 100
        for _ in range(10_000):
            assert await server.receive() == Message(Kind.CONTROL, b"")
        assert await server.receive() == CONTROL


async def test_a_peer_that_takes_no_message_in_time_is_let_go() -> None:
    """`send_s`: it must not hold whoever sends, nor outlive what was taken from it."""
    async with parties.listening(KEY) as (port, accepted), asyncio.timeout(20):
        ours = await transport.connect("127.0.0.1", port, OTHER, Limits(send_s=0.3))
        frozen = await accepted.get()
        await frozen.established()

        async def send_on() -> None:
            while True:
                await ours.send(Message(Kind.EVIDENCE, bytes(256 * 1024)))

        with pytest.raises(PeerError) as caught:
            await send_on()
        assert caught.value.code == "send_deadline"
        assert "send_s" in str(caught.value)
        await ours.closed
        frozen.abort()
        await frozen.closed


async def test_answers_of_tls_do_not_pile_up_for_a_peer_that_reads_none() -> None:
    """A KeyUpdate asks for one, and no message bounds them. What waits of our own messages is no reason."""
    async with pair() as (client, server):
        assert client._transport is not None
        assert server._transport is not None
        client._transport.pause_reading()
        for end in (client._transport, server._transport):
            sock = end.get_extra_info("socket")
            for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                sock.setsockopt(socket.SOL_SOCKET, option, 4096)
        most = transport._MOST_UNREAD_ANSWERS
        while server._transport.get_write_buffer_size() <= most:
            server.send_now(Message(Kind.CONTROL, bytes(60_000)))
        await client.send(CONTROL)
        assert await server.receive() == CONTROL
        # As after that many KeyUpdates: the standard library cannot send one.
        written = lib.BIO_write(server._connection._from_ssl, bytes(27), 27)
        assert written == 27
        await client.send(CONTROL)
        assert await server.receive() == CONTROL
        with pytest.raises(PeerError, match="tls_unread"):
            await server.receive()
        await server.closed


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
