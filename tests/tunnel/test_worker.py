"""The relay process itself, over its control socket, with curl and aiohttp as visitors."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TypeVar

import aiohttp
import pytest
from aiohttp import web

from runtime.errors import MalformedError, UnreachableError, UsageError
from runtime.limits import Limits
from runtime.tunnel.control import (
    Counters,
    Drain,
    End,
    FromWorker,
    Grant,
    Joined,
    Left,
    Message,
    Ready,
    Session,
    decode,
    encode,
)
from runtime.tunnel.data import Origin, OriginTable, connect
from runtime.tunnel.doors import bind
from runtime.tunnel.tls_end import visitor_context
from runtime.tunnel.worker import Worker
from tests.tunnel.conftest import Run
from tests.tunnel.rig import (
    HOST,
    SECRET,
    SESSION,
    TUNNEL_NAME,
    Rig,
    certificate,
    client_hello,
    configure,
    echo,
    settle,
    ticket,
    until,
    visitor_tls,
)

M = TypeVar("M", bound=FromWorker)


class Process:
    """A worker started as the control process starts it."""

    def __init__(self) -> None:
        self.control, theirs = socket.socketpair()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "runtime.tunnel.worker", "--control-fd", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stderr=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        theirs.close()
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def say(self, *messages: Message) -> None:
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection(sock=self.control)
        self.writer.write(b"".join(map(encode, messages)))

    async def hear(self, kind: type[M]) -> M:
        assert self.reader is not None
        async with asyncio.timeout(10):
            while line := await self.reader.readline():
                message = decode(line)
                if isinstance(message, kind):
                    return message
        raise AssertionError(f"the worker never said {kind.__name__}")

    async def gone(self) -> tuple[int, str]:
        _, errors = await asyncio.to_thread(self.process.communicate, timeout=10)
        return self.process.returncode, errors.decode()


@contextlib.asynccontextmanager
async def process() -> AsyncGenerator[Process]:
    made = Process()
    try:
        yield made
    finally:
        if made.writer is not None:
            made.writer.close()
        else:
            made.control.close()
        if made.process.poll() is None:
            made.process.kill()
        await made.gone()


async def published(worker: Process, port: int, kind: str = "http") -> tuple[Ready, OriginTable]:
    await worker.say(
        configure(),
        Session(session=SESSION, member="client-a", epoch=1, join_secret=SECRET),
        Grant(session=SESSION, hostnames=(HOST,)),
    )
    own = certificate(HOST)
    context = visitor_context(own.pem, own.key)
    origin = Origin(kind="http", host="127.0.0.1", port=port, ssl_context=context)
    return await worker.hear(Ready), OriginTable({HOST: origin}, frozenset({HOST}))


@contextlib.asynccontextmanager
async def site() -> AsyncGenerator[int]:
    async def answer(request: web.Request) -> web.Response:
        body = await request.read()
        return web.Response(body=b"%s %d " % (request.path.encode(), len(body)) + b"z" * 100_000)

    application = web.Application(client_max_size=1 << 24)
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    listener = web.TCPSite(runner, "127.0.0.1", 0)
    await listener.start()
    try:
        port: int = runner.addresses[0][1]
        yield port
    finally:
        await runner.cleanup()


@pytest.mark.integration
def test_aiohttp_and_curl_through_the_real_process(run: Run) -> None:
    async def main() -> None:
        async with process() as worker, site() as port:
            ready, origins = await published(worker, port)
            assert await worker.hear(Joined) == Joined(session=SESSION, connections=0)
            connection = await connect(
                ("127.0.0.1", ready.data_port),
                ticket=ticket(),
                origins=origins,
                limits=Limits(),
                deadline_s=5,
            )
            assert await worker.hear(Joined) == Joined(session=SESSION, connections=1)
            await door(ready.visitor_ports[0])
            await by_aiohttp(ready.visitor_ports[0])
            if shutil.which("curl"):
                await by_curl(ready.visitor_ports[0])
            counters = await worker.hear(Counters)
            while not counters.opened:
                counters = await worker.hear(Counters)
            assert counters.opened["client-a"] >= 1
            connection.goaway()
            assert await worker.hear(Left) == Left(session=SESSION, connections=0)
            connection.abort()
            await settle()

    run(main())


async def door(port: int) -> None:
    """Wait until the worker listens for visitors: it tells of a connection a moment before."""

    async def opens() -> None:
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.01)

    await asyncio.wait_for(opens(), 30)


async def by_aiohttp(port: int) -> None:
    connector = aiohttp.TCPConnector(ssl=visitor_tls())
    async with aiohttp.ClientSession(connector=connector) as visitor:
        for size in (0, 1_000_000):
            async with visitor.post(
                f"https://127.0.0.1:{port}/path", data=b"u" * size, server_hostname=HOST
            ) as answer:
                assert await answer.read() == b"/path %d " % size + b"z" * 100_000
    await settle()


async def by_curl(port: int) -> None:
    done = await asyncio.to_thread(
        subprocess.run,
        ["curl", "-sk", "--resolve", f"{HOST}:{port}:127.0.0.1", f"https://{HOST}:{port}/curl"],
        capture_output=True,
        timeout=50,
        check=True,
    )
    assert done.stdout == b"/curl 0 " + b"z" * 100_000


@pytest.mark.integration
def test_losing_the_control_socket_ends_the_process_and_its_connections() -> None:
    async def main() -> None:
        async with process() as worker, site() as port:
            ready, origins = await published(worker, port)
            connection = await connect(
                ("127.0.0.1", ready.data_port),
                ticket=ticket(),
                origins=origins,
                limits=Limits(),
                deadline_s=5,
            )
            assert worker.writer is not None
            worker.writer.close()
            assert (await worker.gone())[0] == 0
            async with asyncio.timeout(20):
                await connection.closed
            with pytest.raises(OSError, match=r"."):
                socket.create_connection(("127.0.0.1", ready.visitor_ports[0]), timeout=1)

    asyncio.run(main())


@pytest.mark.integration
def test_a_malformed_control_line_ends_the_process_loudly() -> None:
    async def main() -> None:
        async with process() as worker:
            await worker.say()
            assert worker.writer is not None
            worker.writer.write(b"{}\n")
            status, errors = await worker.gone()
            assert status == 10
            assert "control message" in errors

    asyncio.run(main())


@pytest.mark.integration
def test_sigterm_drains() -> None:
    async def main() -> None:
        async with process() as worker:
            await worker.say(configure())
            ready = await worker.hear(Ready)
            os.kill(worker.process.pid, signal.SIGTERM)
            assert (await worker.gone())[0] == 0
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", ready.visitor_ports[0]), timeout=1)

    asyncio.run(main())


def test_the_tunnels_own_name_goes_to_the_control_process(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        got: list[bytes] = []

        async def own(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            got.append(await reader.readexactly(5))
            writer.write(b"x" * 300_000)
            writer.close()

        path = str(tmp_path / "own.sock")
        server = await asyncio.start_unix_server(own, path)
        async with server, Rig(tunnel_name_socket=path) as rig:
            await rig.stand()
            reader, writer = await rig.raw()
            writer.write(client_hello(TUNNEL_NAME))
            assert await reader.read(-1) == b"x" * 300_000
            assert got[0][:3] == b"\x16\x03\x01"

    run(main())


def test_without_that_socket_its_visitors_get_an_alert(run: Run) -> None:
    async def main() -> None:
        async with Rig() as rig:
            await rig.stand()
            with pytest.raises(OSError, match=r"(?i)alert"):
                await rig.visit(TUNNEL_NAME)

    run(main())


def test_draining_lets_visitors_finish(run: Run) -> None:
    async def main() -> None:
        async with Rig() as rig:
            await rig.publish(echo, kind="http")
            reader, writer = await rig.visit()
            rig.drain(20)
            await rig.doors(opened=False)
            with pytest.raises(ConnectionRefusedError):
                await rig.raw()
            writer.write(b"still")
            assert await reader.readexactly(5) == b"still"
            assert not rig.worker.stopped.done()
            writer.close()
            await until(rig.worker.stopped.done)
            assert await rig.connections[0].closed is None

    run(main())


def test_draining_cuts_at_the_deadline(run: Run) -> None:
    async def main() -> None:
        async with Rig() as rig:
            await rig.publish(echo, kind="http")
            reader, _ = await rig.visit()
            rig.drain(0.1)
            await until(rig.worker.stopped.done)
            with pytest.raises(ConnectionError):
                await reader.readexactly(1)

    run(main())


def test_revoking_a_hostname_stops_new_streams(run: Run) -> None:
    async def main() -> None:
        async with Rig() as rig:
            await rig.publish(echo, kind="http")
            await rig.visit()
            rig.worker.apply(Grant(session=SESSION, hostnames=("other.example",)))
            with pytest.raises(OSError, match=r"(?i)unrecognized"):
                await rig.visit()

    run(main())


def test_wrong_configurations_are_refused(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        worker = Worker(loop=loop, tell=lambda message: None)
        with pytest.raises(MalformedError):
            worker.apply(End(session=SESSION, reason="too early"))
        with pytest.raises(UsageError):
            await worker.configure(configure(certificate_pem="x"))
        worker.apply(Drain(deadline_s=1))
        await until(worker.stopped.done)
        async with Rig() as rig:
            with pytest.raises(MalformedError):
                await rig.worker.configure(configure())
            with pytest.raises(MalformedError):
                rig.worker.apply(Ready(visitor_ports=(), data_port=1))
            with pytest.raises(UnreachableError):
                bind(("127.0.0.1", rig.data_port), shared=False)

    run(main())
