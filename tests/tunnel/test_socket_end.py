"""Back-pressure on real sockets, and the socket that is not there yet."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

import pytest

from runtime.limits import Limits
from runtime.tunnel.frames import Chunk, ResetCode
from runtime.tunnel.socket_end import Dialer, SocketEnd
from tests.tunnel.conftest import Run
from tests.tunnel.rig import Rig, blocks, listening, settle, sha256_of, until

MIB = 1 << 20


@pytest.mark.parametrize("kind", ["tls", "http"])
def test_a_reader_that_pauses_gets_everything_later(run: Run, kind: str) -> None:
    """The visitor stops reading for a while, then the origin does: nothing is lost, nothing piles up."""
    size = 24 * MIB
    go = asyncio.Event()
    sent = [0]

    async def origin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            for block in blocks(size, b"down"):
                writer.write(block)
                await writer.drain()
                sent[0] += len(block)
            await go.wait()
            got = [await reader.readexactly(MIB) for _ in range(size // MIB)]
            writer.write(sha256_of(got))
        writer.close()

    async def main() -> None:
        async with Rig() as rig:
            await rig.publish(origin, kind=kind)
            reader, writer = await rig.visit(limit=64 * 1024)
            await until_still(lambda: sent[0])
            assert sent[0] < size
            down = [await reader.readexactly(MIB) for _ in range(size // MIB)]
            assert sha256_of(down) == sha256_of(blocks(size, b"down"))
            for block in blocks(size, b"up"):
                writer.write(block)
            await settle(0.2)
            connection = rig.connections[0].mux
            assert connection.received_bytes < 16 * MIB
            go.set()
            assert await reader.readexactly(32) == sha256_of(blocks(size, b"up"))

    run(main())


async def until_still(value: object) -> None:
    assert callable(value)
    before = None
    while before != value():
        before = value()
        await asyncio.sleep(0.2)


class Far:
    def __init__(self) -> None:
        self.got = b""
        self.said: list[str] = []
        self.given_back = 0

    def write(self, data: Chunk) -> None:
        self.got += data

    def end(self) -> None:
        self.said.append("end")

    def reset(self, code: ResetCode) -> None:
        self.said.append(code.name)

    def consumed(self, size: int) -> None:
        self.given_back += size


async def dialled(host: str, port: int, limits: Limits | None = None) -> tuple[SocketEnd, Far, Dialer]:
    loop = asyncio.get_running_loop()
    dialer = Dialer(loop=loop, limits=limits or Limits())
    end, far = SocketEnd(loop=loop, limits=Limits(), lost=ResetCode.ORIGIN_LOST), Far()
    dialer.dial(lambda factory: loop.create_connection(factory, host, port), end, far)
    return end, far, dialer


def test_what_comes_before_the_socket_is_kept_and_not_consumed(run: Run) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"got " + await reader.read(-1))
        writer.close()

    async def main() -> None:
        async with listening(answer) as port:
            end, far, _ = await dialled("127.0.0.1", port)
            end.pause()
            end.data(b"early ")
            end.data(b"bytes")
            end.end()
            assert far.given_back == 0
            await until(lambda: far.given_back == 11)
            await settle()
            assert far.got == b""  # still paused
            end.resume()
            await until(lambda: far.said == ["end"])
            assert far.got == b"got early bytes"

    run(main())


def test_a_greeting_comes_first_and_costs_the_stream_no_credit(run: Run) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read(-1))
        writer.close()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with listening(answer) as port:
            far = Far()
            end = SocketEnd(loop=loop, limits=Limits(), lost=ResetCode.ORIGIN_LOST, greeting=b"PROXY ")
            Dialer(loop=loop, limits=Limits()).dial(
                lambda factory: loop.create_connection(factory, "127.0.0.1", port), end, far
            )
            end.data(b"visitor")
            end.end()
            await until(lambda: far.said == ["end"])
            assert far.got == b"PROXY visitor"
            assert far.given_back == len(b"visitor")

    run(main())


def test_given_up_while_connecting(run: Run) -> None:
    got: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            got.append(await reader.read(-1))
        writer.close()

    async def main() -> None:
        async with listening(listen) as port:
            end, far, _ = await dialled("127.0.0.1", port)
            end.data(b"never")
            end.reset(ResetCode.VISITOR_LOST)
            await settle()
            assert b"".join(got) == b""
            assert far.said == []

    run(main())


@pytest.mark.parametrize("host", ["127.0.0.1", "a" * 64 + ".example", "no such host"])
def test_an_origin_that_cannot_be_reached_resets_the_stream(run: Run, host: str) -> None:
    async def main() -> None:
        _, far, _ = await dialled(host, 1)
        await until(lambda: far.said == ["ORIGIN_UNREACHABLE"])

    run(main())


def test_cancelled_dials_say_nothing(run: Run) -> None:
    async def main() -> None:
        _, far, dialer = await dialled("127.0.0.1", 1)
        dialer.cancel()
        await settle()
        assert far.said == []

    run(main())


def test_a_peer_that_has_reset_does_not_hurt_the_stream_that_ends_it(run: Run) -> None:
    """The visitor resets, and before the loop notices the stream ends: the error is the socket's alone.

    Raised into the stream it would close the data connection, with everybody else's streams.
    """

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            end, far = SocketEnd(loop=loop, limits=Limits(), lost=ResetCode.VISITOR_LOST), Far()
            end.join(far)
            await loop.create_connection(lambda: end, *listener.getsockname())
            peer, _ = listener.accept()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
            end.end()  # ENOTCONN on a stock loop, at once
            await until(lambda: far.said == ["VISITOR_LOST"])

    run(main())
