"""Which data connection gets a stream, and what is left when all of them are busy."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

import pytest

from runtime.errors import PeerError
from runtime.limits import Limits
from runtime.tunnel.control import End, Grant, Session
from runtime.tunnel.data_tls import ALPN
from tests.tunnel.conftest import Run
from tests.tunnel.rig import (
    HOST,
    SECRET,
    SESSION,
    Rig,
    echo,
    settle,
    until,
    visitor_tls,
)


def test_a_full_session_is_passed_over_and_a_full_tunnel_refuses(run: Run) -> None:
    async def main() -> None:
        async with Rig(Limits(max_streams=1)) as rig:
            await rig.publish(echo, kind="tls")
            await rig.visit()
            with pytest.raises(ssl.SSLError):
                await rig.visit()
            other = bytes(16)
            rig.session((HOST,), session=other)
            await rig.join(1, session=other)
            await settle()
            await rig.visit()
            await rig.join(2)
            await rig.visit()
            assert rig.counters().opened == {"client-a": 3}
            assert rig.counters().refused == {"too_many_streams": 1}

    run(main())


def test_the_idler_connection_gets_the_next_stream(run: Run) -> None:
    async def main() -> None:
        async with Rig() as rig:
            await rig.publish(echo, kind="tls")
            await rig.join(2)
            for _ in range(4):
                await rig.visit()
            assert [connection.streams for connection in rig.connections] == [2, 2]

    run(main())


def test_a_granted_session_without_a_connection_gets_nothing(run: Run) -> None:
    async def main() -> None:
        async with Rig() as rig:
            rig.session()
            with pytest.raises(ConnectionRefusedError):
                await rig.visit()
            await rig.publish(echo, kind="tls")
            await rig.visit()
            rig.connections[0].abort()
            await until(lambda: rig.counters().streams == 0)
            await rig.doors(opened=False)
            with pytest.raises(ConnectionRefusedError):
                await rig.visit()

    run(main())


def test_messages_about_a_session_that_is_unknown_change_nothing(run: Run) -> None:
    async def main() -> None:
        async with Rig() as rig:
            rig.worker.apply(Grant(session=SESSION, hostnames=(HOST,)))
            rig.worker.apply(End(session=SESSION, reason="never began"))
            rig.worker.apply(Session(session=SESSION, member="client-a", epoch=1, join_secret=SECRET))
            await rig.join()
            with pytest.raises(ConnectionRefusedError):
                await rig.visit()  # joined, but granted nothing

    run(main())


def test_one_ended_session_leaves_the_others_alone(run: Run) -> None:
    async def main() -> None:
        async with Rig() as rig:
            await rig.publish(echo, kind="http")
            reader, writer = await rig.visit()
            other = bytes(16)
            rig.session((HOST,), session=other)
            await rig.join(1, session=other)
            rig.worker.apply(End(session=other, reason="over"))
            async with asyncio.timeout(20):
                await rig.connections[1].closed
            writer.write(b"alive")
            assert await reader.readexactly(5) == b"alive"

    run(main())


async def stranger(port: int, *, alpn: str = ALPN) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = visitor_tls()
    context.set_alpn_protocols([alpn])
    return await asyncio.open_connection("127.0.0.1", port, ssl=context)


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"\0" * 74, "malformed"),
        (b"GET / HTTP/1.1\r\n" + b"x" * 58, "malformed"),
        (b"\0" * 75, "join_refused"),
        (b"", "join_deadline"),
        (b"\0" * 73, "join_deadline"),
    ],
)
def test_a_stranger_is_closed_and_told_nothing(run: Run, sent: bytes, reason: str) -> None:
    async def main() -> None:
        async with Rig(Limits(join_s=0.3)) as rig:
            reader, writer = await stranger(rig.data_port)
            writer.write(sent)
            with contextlib.suppress(ConnectionError):
                assert await reader.read(-1) == b""
            assert rig.counters().refused == {reason: 1}
            writer.close()

    run(main())


def test_only_tls_13_and_our_alpn_and_no_ticket(run: Run) -> None:
    async def main() -> None:
        async with Rig() as rig:
            context = visitor_tls()
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.open_connection("127.0.0.1", rig.data_port, ssl=context)
            reader, writer = await stranger(rig.data_port)
            tls = writer.get_extra_info("ssl_object")
            await asyncio.wait([asyncio.ensure_future(reader.read(1))], timeout=0.1)
            assert tls.session is None or not tls.session.has_ticket
            writer.transport.abort()
            await settle()

    run(main())


def test_strangers_are_bounded_before_their_handshake_and_who_is_new_gets_in(run: Run) -> None:
    async def main() -> None:
        async with Rig(Limits(max_unjoined=3, unjoined_per_address=3)) as rig:
            rig.session()
            silent = [await asyncio.open_connection("127.0.0.1", rig.data_port) for _ in range(7)]
            await until(lambda: rig.counters().refused == {"unjoined_displaced": 4})
            for reader, _ in silent[:4]:  # the oldest are closed, in the middle of a handshake not begun
                async with asyncio.timeout(20):
                    with contextlib.suppress(ConnectionError):
                        assert await reader.read() == b""
            await rig.join()
            assert rig.counters().refused == {"unjoined_displaced": 5}
            for _, writer in silent:
                writer.close()
            await until(lambda: rig.counters().refused.get("join_tls") == 2)

    run(main())


def test_a_session_has_no_more_connections_than_allowed(run: Run) -> None:
    async def main() -> None:
        async with Rig(Limits(connections_per_session=1)) as rig:
            rig.session()
            await rig.join(1)
            with pytest.raises(PeerError):
                await rig.join(2)
            assert rig.counters().refused == {"join_too_many": 1}

    run(main())


def test_streams_go_round_robin_over_sessions(run: Run) -> None:
    async def main() -> None:
        other = bytes(16)
        async with Rig() as rig:
            await rig.publish(echo, kind="tls")
            rig.worker.apply(Session(session=other, member="client-b", epoch=1, join_secret=SECRET))
            await rig.join(1, session=other)
            rig.session((HOST,), session=other)
            rig.worker.apply(Session(session=other, member="client-b", epoch=1, join_secret=SECRET))
            for _ in range(6):
                await rig.visit()
            assert rig.counters().opened == {"client-a": 3, "client-b": 3}

    run(main())
