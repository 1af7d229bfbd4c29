"""Visitors through a worker and a data connection, both real, in one process."""

from __future__ import annotations

import asyncio
import ssl
from typing import cast

import pytest

from runtime.limits import Limits
from runtime.tunnel.client_hello import alert
from runtime.tunnel.socket_end import abort
from tests.tunnel.conftest import Run
from tests.tunnel.rig import (
    HOST,
    Rig,
    blocks,
    client_hello,
    count_and_send,
    echo,
    sha256_of,
    until,
)

MIB = 1 << 20


@pytest.mark.parametrize("kind", ["tls", "http"])
def test_echo(run: Run, kind: str) -> None:
    async def main() -> None:
        async with Rig() as rig:
            await rig.publish(echo, kind=kind)
            reader, writer = await rig.visit()
            for text in (b"hello", b"x" * 40000, b"bye"):
                writer.write(text)
                assert await reader.readexactly(len(text)) == text
            counters = rig.counters()
            assert counters.opened == {"client-a": 1}
            assert (counters.visitors, counters.streams) == (1, 1)
            assert counters.received["client-a"] > 40000 < counters.sent["client-a"]
            writer.close()
            await until(lambda: rig.counters().streams == rig.counters().visitors == 0)

    run(main())


@pytest.mark.parametrize("kind", ["tls", "http"])
def test_64_mib_up_and_down_arrive_unchanged(run: Run, kind: str) -> None:
    async def main() -> None:
        size = 64 * MIB + 12345
        async with Rig() as rig:
            await rig.publish(count_and_send, kind=kind)
            reader, writer = await rig.visit()
            writer.write(b"%d\n" % size)
            up, down = blocks(size, b"up"), blocks(size, b"down")
            for block in up:
                writer.write(block)
                await writer.drain()
            assert await reader.readexactly(32) == sha256_of(up)
            got = [await reader.readexactly(len(block)) for block in down]
            assert sha256_of(got) == sha256_of(down)
            assert await reader.read(1) == b""

    run(main())


def test_half_close_is_kept(run: Run) -> None:
    """Raw TCP behind a real ClientHello: the visitor's FIN arrives, and the answer still comes back."""

    async def answer_after_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        everything = await reader.read(-1)
        writer.write(b"got %d" % len(everything))
        writer.close()

    async def main() -> None:
        hello = client_hello(HOST)
        async with Rig() as rig:
            port = await rig.origin(answer_after_end, tls=False)
            rig.origins.set_routes({HOST: rig.route("tls", port)})
            rig.origins.set_granted(frozenset({HOST}))
            rig.session()
            await rig.join()
            reader, writer = await rig.raw()
            writer.write(hello + b"z" * 300000)
            writer.write_eof()
            assert await reader.read(-1) == b"got %d" % (len(hello) + 300000)

    run(main())


def test_a_slow_reader_holds_its_credit_and_no_more_while_others_stay_fast(run: Run) -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if await reader.readexactly(1) == b"f":
                while True:
                    sent[0] += 65536
                    writer.write(bytes(65536))
                    await writer.drain()
            await echo(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    sent = [0]

    async def main() -> None:
        async with Rig() as rig:
            await rig.publish(flood, kind="http")
            slow, slow_writer = await rig.visit(limit=1024)
            slow_writer.write(b"f")
            await slow.readexactly(1)
            await until_still(lambda: sent[0])
            assert sent[0] < 16 * MIB  # the sockets' own buffers, the credit, one read; not everything
            held = sent[0]
            fast, fast_writer = await rig.visit()
            loop = asyncio.get_running_loop()
            started = loop.time()
            fast_writer.write(b"e")
            for _ in range(50):
                fast_writer.write(b"ping")
                assert await fast.readexactly(4) == b"ping"
            assert loop.time() - started < 2
            assert sent[0] == held
            stream = next(iter(rig.connections[0].mux._streams.values()))
            assert stream._size <= 512 * 1024  # one read of the origin, encrypted
            slow_writer.transport.abort()

    run(main())


def test_an_unknown_hostname_gets_an_alert_at_once(run: Run) -> None:
    async def main() -> None:
        async with Rig() as rig:
            await rig.publish(echo, kind="tls")
            with pytest.raises(ssl.SSLError) as caught:
                await rig.visit("nobody.example")
            assert "UNRECOGNIZED_NAME" in str(caught.value).upper().replace(" ", "_")
            assert rig.counters().refused == {"no_route": 1}

    run(main())


def test_a_hostname_the_client_was_not_granted_is_refused_by_the_client(run: Run) -> None:
    async def main() -> None:
        async with Rig() as rig:
            await rig.publish(echo, kind="tls")
            rig.origins.set_granted(frozenset({"other.example"}))
            with pytest.raises(ssl.SSLError) as caught:
                await rig.visit()
            assert "UNRECOGNIZED_NAME" in str(caught.value).upper().replace(" ", "_")
            assert rig.counters().refused == {"stream_reset": 1}

    run(main())


def test_a_dead_origin_is_an_alert_not_a_silence(run: Run) -> None:
    async def main() -> None:
        async with Rig() as rig:
            await rig.publish(echo, kind="tls")
            rig.origins.set_routes({HOST: rig.route("tls", 1)})
            with pytest.raises(ssl.SSLError) as caught:
                await rig.visit()
            assert "INTERNAL_ERROR" in str(caught.value).upper().replace(" ", "_")

    run(main())


def test_an_origin_that_resets_cuts_the_visitor_without_a_clean_end(run: Run) -> None:
    async def half_an_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await writer.drain()
        await reader.readexactly(1)
        abort(cast("asyncio.Transport", writer.transport))

    async def main() -> None:
        async with Rig() as rig:
            await rig.publish(half_an_answer, kind="http")
            reader, writer = await rig.visit()
            await reader.readuntil(b"half")
            rig.origins.set_routes({})  # streams that are open stay
            writer.write(b"?" * 100000)
            with pytest.raises(ConnectionResetError):
                await reader.read(-1)

    run(main())


@pytest.mark.parametrize("text", [b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n", b"POST /x HTTP/1.0\n"])
def test_plain_http_gets_a_readable_answer(run: Run, text: bytes) -> None:
    async def main() -> None:
        async with Rig() as rig:
            await rig.stand()
            reader, writer = await rig.raw()
            for byte in text:
                writer.write(bytes((byte,)))
            answer = await reader.read(-1)
            assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
            assert b"TLS port" in answer
            assert rig.counters().refused == {"plain_http": 1}

    run(main())


@pytest.mark.parametrize(
    "start", [b"\x00\x01", b"SSH-2.0-x\r\n", b"\x16\x03\x01\x00\x00", b"\x80\x2e\x01\x00\x02"]
)
def test_what_is_not_a_client_hello_gets_decode_error(run: Run, start: bytes) -> None:
    async def main() -> None:
        async with Rig() as rig:
            await rig.stand()
            reader, writer = await rig.raw()
            writer.write(start)
            assert await reader.read(-1) == alert(50)
            assert rig.counters().refused == {"malformed_hello": 1}

    run(main())


def test_a_hello_without_a_name_gets_unrecognized_name(run: Run) -> None:
    async def main() -> None:
        async with Rig() as rig:
            await rig.stand()
            reader, writer = await rig.raw()
            writer.write(client_hello(None))
            assert await reader.read(-1) == alert(112)
            assert rig.counters().refused == {"no_name": 1}

    run(main())


def test_a_hello_that_does_not_come_is_closed_at_the_deadline(run: Run) -> None:
    async def main() -> None:
        async with Rig(Limits(hello_s=0.1)) as rig:
            await rig.stand()
            reader, writer = await rig.raw()
            writer.write(client_hello(HOST)[:50])
            assert await reader.read(-1) == b""
            assert rig.counters().refused == {"hello_deadline": 1}

    run(main())


def test_more_visitors_than_allowed_are_refused_and_the_others_served(run: Run) -> None:
    async def main() -> None:
        async with Rig(Limits(max_visitors=1)) as rig:
            await rig.publish(echo, kind="tls")
            reader, writer = await rig.visit()
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await rig.visit()
            writer.write(b"still here")
            assert await reader.readexactly(10) == b"still here"

    run(main())


def test_a_half_closed_stream_on_which_nothing_moves_is_cut(run: Run) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        await asyncio.sleep(1)
        writer.close()

    async def main() -> None:
        async with Rig(Limits(half_closed_s=0.1)) as rig:
            port = await rig.origin(silent, tls=False)
            rig.origins.set_routes({HOST: rig.route("tls", port)})
            rig.origins.set_granted(frozenset({HOST}))
            rig.session()
            await rig.join()
            _, writer = await rig.raw()
            writer.write(client_hello(HOST))
            writer.write_eof()
            await until(lambda: rig.counters().opened == {"client-a": 1})
            await until(lambda: rig.counters().streams == rig.counters().visitors == 0)

    run(main())


async def until_still(value: object, seconds: float = 0.3) -> None:
    assert callable(value)
    before = None
    while before != value():
        before = value()
        await asyncio.sleep(seconds)
