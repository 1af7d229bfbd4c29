"""A tunnel server's worker, a tunnel client's data connection, origins and visitors, on loopback.

Everything is real: sockets, TLS, certificates made on the spot. Only the attested session is absent:
the rig hands both ends what the session would hand them.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import hashlib
import os
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from runtime.limits import Limits
from runtime.tunnel.admission import Admission
from runtime.tunnel.control import Configure, Counters, Drain, End, FromWorker, Grant, Ready, Session
from runtime.tunnel.data import DataConnection, Follow, JoinTicket, Origin, OriginTable, connect
from runtime.tunnel.data_tls import certificate_digest
from runtime.tunnel.routing import SessionId
from runtime.tunnel.tls_end import visitor_context
from runtime.tunnel.worker import Worker

HOST = "shop.example"
TUNNEL_NAME = "tunnel.example"
SESSION = SessionId(bytes(range(16)))
SECRET = bytes(range(32))


@dataclass(frozen=True)
class Certificate:
    pem: bytes
    key: bytes

    @property
    def sha256(self) -> bytes:
        return certificate_digest(self.pem.decode())


@cache
def certificate(name: str = HOST) -> Certificate:
    """A self-signed P-256 certificate, years out of date: dates must not matter where it is pinned."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
        .not_valid_after(datetime.datetime(2021, 1, 1, tzinfo=datetime.UTC))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Certificate(
        made.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


def visitor_tls() -> ssl.SSLContext:
    """A visitor that checks nothing: what is tested is the path, and the tests compare bytes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def configure(limits: Limits | None = None, **changes: Any) -> Configure:
    data = certificate("data.example")
    message = Configure(
        worker=3,
        visitor_listen=(("127.0.0.1", 0),),
        data_listen=(("127.0.0.1", 0),),
        certificate_pem=data.pem.decode(),
        key_pem=data.key.decode(),
        tunnel_name=TUNNEL_NAME,
        tunnel_name_socket="/nonexistent/tunnel.sock",
        limits=limits or Limits(),
        access_log="none",
    )
    return replace(message, **changes)


def ticket(counter: int = 1, **changes: Any) -> JoinTicket:
    made = JoinTicket(
        session=SESSION,
        epoch=1,
        worker=3,
        counter=counter,
        secret=SECRET,
        certificate_sha256=certificate("data.example").sha256,
    )
    return replace(made, **changes)


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Rig:
    """One worker in this process, and whatever joined it."""

    def __init__(self, limits: Limits | None = None, **changes: Any) -> None:
        self.limits = limits or Limits()
        self.client_limits = self.limits
        self.told: list[FromWorker] = []
        self.session_id: bytes = SESSION
        self.worker = Worker(loop=asyncio.get_running_loop(), tell=self.told.append)
        self.origins = OriginTable({}, frozenset())
        self.connections: list[DataConnection] = []
        self.follow: Follow | None = None  # of the client's access log
        self._changes = changes
        self._servers: list[asyncio.Server] = []
        self._handling: set[asyncio.Task[None]] = set()  # what origins do for their visitors
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Rig:
        await self.worker.configure(configure(self.limits, **self._changes))
        ready = self.told[0]
        assert isinstance(ready, Ready)
        self.visitor_port = ready.visitor_ports[0]
        self.data_port = ready.data_port
        return self

    async def __aexit__(self, *_: object) -> None:
        for writer in self._writers:
            writer.close()
        for connection in self.connections:
            connection.abort()
        self.worker.close()
        for server in self._servers:
            server.close()
        await asyncio.sleep(0.02)
        if self._handling:  # a task that the end of the loop cancels is an error of Python 3.11's streams
            await asyncio.wait(set(self._handling), timeout=10)

    async def origin(self, handler: Handler, *, tls: bool) -> int:
        """Start an origin; returns its port."""
        context = None
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            own = certificate(HOST)
            path = Path(f"/proc/self/fd/{(fd := os.memfd_create('origin'))}")
            os.write(fd, own.pem + own.key)
            context.load_cert_chain(path)
            os.close(fd)

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = cast("asyncio.Task[None]", asyncio.current_task())
            self._handling.add(task)
            try:
                await handler(reader, writer)
            finally:
                self._handling.discard(task)

        server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
        self._servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    def session(
        self, hostnames: tuple[str, ...] = (HOST,), *, session: bytes = SESSION, epoch: int = 1
    ) -> None:
        self.worker.apply(Session(session=session, member="client-a", epoch=epoch, join_secret=SECRET))
        self.worker.apply(Grant(session=session, hostnames=hostnames))

    async def join(self, counter: int = 1, *, address: str = "127.0.0.1", **changes: Any) -> DataConnection:
        connection = await connect(
            (address, self.data_port),
            ticket=ticket(counter, **changes),
            origins=self.origins,
            limits=self.client_limits,
            deadline_s=5,
            follow=self.follow,
        )
        self.connections.append(connection)
        return connection

    async def publish(self, handler: Handler, *, kind: str, host: str = HOST) -> None:
        """An origin, a session that was granted its hostname, and one data connection."""
        port = await self.origin(handler, tls=kind == "tls")
        self.origins.set_routes({host: self.route(kind, port)})
        self.origins.set_granted(frozenset({host}))
        self.session((host,))
        await self.join()
        await self.doors(opened=True)

    async def stand(self) -> None:
        """A session that serves some other hostname, so that the worker listens for visitors at all."""
        other = b"standing session"
        self.session(("standing.example",), session=other)
        await self.join(1, session=other)
        await self.doors(opened=True)

    async def doors(self, *, opened: bool) -> None:
        """Wait until the worker listens for visitors, or refuses them."""
        doors = self.worker._doors
        assert doors is not None
        await until(lambda: doors._moving is None and bool(doors._servers) is opened)

    def route(self, kind: str, port: int) -> Origin:
        if kind == "tls":
            return Origin(kind="tls", host="127.0.0.1", port=port, ssl_context=None)
        own = certificate(HOST)
        return Origin(kind="http", host="127.0.0.1", port=port, ssl_context=visitor_context(own.pem, own.key))

    async def visit(
        self, host: str = HOST, **options: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.visitor_port, ssl=visitor_tls(), server_hostname=host, **options
        )
        self._writers.append(writer)
        return reader, writer

    async def raw(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.visitor_port)
        self._writers.append(writer)
        return reader, writer

    def admission(self) -> Admission:
        assert self.worker._admission is not None
        return self.worker._admission

    def strangers(self) -> tuple[object, ...]:
        """The connections to the data port that have not joined."""
        return self.admission()._strangers.all()

    def counters(self) -> Counters:
        assert self.worker._board is not None
        return self.worker._board.counters()

    def end(self) -> None:
        self.worker.apply(End(session=SESSION, reason="the test says so"))

    def drain(self, deadline_s: float) -> None:
        self.worker.apply(Drain(deadline_s=deadline_s))


async def settle(seconds: float = 0.05) -> None:
    """Let what is on its way on loopback arrive."""
    await asyncio.sleep(seconds)


async def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for a condition that no event announces."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - a test looks from outside
            await asyncio.sleep(0.005)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def count_and_send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read `size\\n` and so many bytes, answer with their SHA-256 and the same number of other bytes."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        left = int(await reader.readline())
        size, seen = left, hashlib.sha256()
        while left:
            data = await reader.read(min(left, 262144))
            if not data:
                break
            seen.update(data)
            left -= len(data)
        writer.write(seen.digest())
        for block in blocks(size, b"down"):
            writer.write(block)
            await writer.drain()
    writer.close()


def blocks(size: int, seed: bytes) -> list[bytes]:
    block = hashlib.shake_128(seed).digest(1 << 20)
    return [block] * (size >> 20) + ([block[: size & 0xFFFFF]] if size & 0xFFFFF else [])


def sha256_of(parts: list[bytes]) -> bytes:
    seen = hashlib.sha256()
    for part in parts:
        seen.update(part)
    return seen.digest()


@contextlib.asynccontextmanager
async def listening(handler: Handler, **options: Any) -> AsyncGenerator[int]:
    server = await asyncio.start_server(handler, "127.0.0.1", 0, **options)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def client_hello(name: str | None) -> bytes:
    """What OpenSSL really sends."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = visitor_tls().wrap_bio(incoming, outgoing, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()
