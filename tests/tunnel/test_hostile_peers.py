"""A peer that lies costs itself its connection, with a reason; others of the same process notice nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from runtime.limits import Limits
from runtime.tunnel.control import Grant, Session
from runtime.tunnel.data import DataConnection
from runtime.tunnel.frames import (
    MAX_CREDIT,
    Chunk,
    CloseCode,
    Endpoint,
    FrameType,
    OpenRequest,
    ResetCode,
    frame,
    header,
    window,
)
from runtime.tunnel.mux import Mux
from tests.tunnel.conftest import Run
from tests.tunnel.rig import HOST, SECRET, Rig, client_hello, echo, until

LIAR = bytes(range(16, 32))
LIAR_HOST = "liar.example"
SOMEBODY = Endpoint.of("192.0.2.1", 443)


@dataclass
class Silent:
    """A sink that takes everything and gives no credit back."""

    taken: list[Chunk] = field(default_factory=list[Chunk])

    def data(self, chunk: Chunk) -> None:
        self.taken.append(chunk)

    def end(self) -> None: ...

    def reset(self, code: ResetCode) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...


def data(stream: int, size: int) -> bytes:
    return frame(FrameType.DATA, stream, bytes(size))


FROM_A_CLIENT = {
    "credit": (b"".join(data(1, 65536) for _ in range(400)), CloseCode.CREDIT_EXCEEDED),
    "window": (window(1, MAX_CREDIT), CloseCode.CREDIT_OVERFLOW),
    "ended": (frame(FrameType.END, 1) + data(1, 1), CloseCode.STREAM_ENDED),
    "unknown": (data(7, 1), CloseCode.STREAM_UNKNOWN),
    "reset": (frame(FrameType.RST, 9, b"\0\0"), CloseCode.STREAM_UNKNOWN),
    "open": (header(FrameType.OPEN, 2, 56) + bytes(56), CloseCode.FRAME_UNEXPECTED),
    "join": (header(FrameType.JOIN, 0, 66) + bytes(66), CloseCode.FRAME_UNEXPECTED),
    "type": (header(99, 0, 0), CloseCode.FRAME_TYPE),
    "length": (header(FrameType.DATA, 1, 65537), CloseCode.FRAME_LENGTH),
    "stream": (header(FrameType.PING, 1, 8) + bytes(8), CloseCode.FRAME_STREAM),
}
OPEN = OpenRequest(
    request_id=bytes(16), hostname="who.example", visitor=SOMEBODY, server=SOMEBODY, first=b""
).encode()
FROM_A_SERVER = {
    "twice": (frame(FrameType.OPEN, 5, OPEN) * 2, CloseCode.STREAM_REUSED),
    "version": (frame(FrameType.OPEN, 5, b"\x02" + OPEN[1:]), CloseCode.OPEN_MALFORMED),
    "name": (frame(FrameType.OPEN, 5, OPEN[:17] + b"\xff" + OPEN[18:]), CloseCode.OPEN_MALFORMED),
    "unknown": (data(7, 1), CloseCode.STREAM_UNKNOWN),
    "type": (header(99, 0, 0), CloseCode.FRAME_TYPE),
}


def resident() -> int:
    """Bytes of this process in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def wire(mux: Mux) -> asyncio.Transport:
    assert mux._transport is not None
    return mux._transport


def server_end(rig: Rig, session: bytes) -> Mux:
    board = rig.worker._board
    assert board is not None
    return next(served.muxes[0] for name, served in board._sessions.items() if name == session)


async def liar(rig: Rig) -> DataConnection:
    """A client with a session of its own that answers nothing by itself."""
    rig.worker.apply(Session(session=LIAR, member="client-liar", epoch=1, join_secret=SECRET))
    rig.worker.apply(Grant(session=LIAR, hostnames=(LIAR_HOST,)))
    connection = await rig.join(1, session=LIAR)
    connection.mux._accept = lambda stream, request: Silent()
    return connection


@pytest.mark.parametrize("lie", FROM_A_CLIENT)
def test_a_client_that_lies(run: Run, lie: str) -> None:
    sent, code = FROM_A_CLIENT[lie]

    async def main() -> None:
        async with Rig() as rig:
            await rig.publish(echo, kind="tls")
            connection = await liar(rig)
            reader, writer = await rig.visit()
            raw_reader, raw_writer = await rig.raw()
            raw_writer.write(client_hello(LIAR_HOST))
            await until(lambda: connection.streams == 1, 20)
            wire(connection.mux).write(sent)
            async with asyncio.timeout(20):
                error = await connection.closed
                assert error is not None
                assert (error.code, getattr(error, "remote", None)) == (code.name.lower(), True)
                await until(lambda: rig.counters().refused.get(code.name.lower()) == 1, 20)
                with contextlib.suppress(ConnectionError):  # its visitor is cut
                    while await raw_reader.read(65536):
                        pass
                writer.write(b"still here")
                assert await reader.readexactly(10) == b"still here"
            assert rig.counters().refused == {code.name.lower(): 1} | {
                name: count for name, count in rig.counters().refused.items() if name == "stream_reset"
            }

    run(main())


@pytest.mark.parametrize("lie", FROM_A_SERVER)
def test_a_server_that_lies(run: Run, lie: str) -> None:
    """One client process, two servers: the honest one's visitors are served all the time."""
    sent, code = FROM_A_SERVER[lie]

    async def main() -> None:
        async with Rig() as honest, Rig() as lying:
            await honest.publish(echo, kind="tls")
            reader, writer = await honest.visit()
            lying.session((HOST,))
            connection = await lying.join()
            wire(server_end(lying, lying.session_id)).write(sent)
            async with asyncio.timeout(20):
                error = await connection.closed
                assert error is not None
                assert (error.code, getattr(error, "remote", None)) == (code.name.lower(), False)
                writer.write(b"still here")
                assert await reader.readexactly(10) == b"still here"

    run(main())


def test_tiny_frames_cost_a_client_what_their_credit_is(run: Run) -> None:
    """A hostile server sends two bytes at a time to an origin that reads nothing: 6 streams of 256 KiB each.

    As one object per frame it would be 6 x 128 Ki x about 56 bytes = 43 MiB.
    """

    async def main() -> None:
        limits = Limits(dial_s=60.0)  # on a busy machine the loop is away for seconds
        held: list[asyncio.StreamReader] = []
        go_on = asyncio.Event()

        async def never_reads(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            held.append(reader)
            await go_on.wait()
            writer.close()

        async with Rig(limits) as rig:
            port = await rig.origin(never_reads, tls=False)
            rig.origins.set_routes({HOST: rig.route("tls", port)})
            rig.origins.set_granted(frozenset({HOST}))
            rig.session()
            connection = await rig.join()
            server_end(rig, rig.session_id)._last = 100  # it takes what the client answers for its own
            before = resident()
            opened = OpenRequest(
                request_id=bytes(16), hostname=HOST, visitor=SOMEBODY, server=SOMEBODY, first=b""
            ).encode()
            for stream in range(1, 7):
                mux = connection.mux
                mux.data_received(frame(FrameType.OPEN, stream, opened))
                burst = frame(FrameType.DATA, stream, b"xy") * 2048
                for turn in range(limits.credit // 4096):
                    mux.data_received(burst)
                    if turn == 2:
                        await asyncio.sleep(0)  # the first bytes come before the origin is connected
                await asyncio.sleep(0)
            assert connection.streams == 6
            grown = resident() - before
            assert grown < 6 * 2 * 1024 * 1024
            go_on.set()

    run(main())
