"""A fleet in one process: real servers with their worker processes, real clients, simulated TEEs. I/O.

Every member attests with a fake chip, and the production verifier appraises it in this process.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import ssl
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from runtime.channel import session as channel
from runtime.channel import transport
from runtime.channel.boot_key import BootKey
from runtime.channel.hello import Side
from runtime.channel.party import Party
from runtime.channel.session import Session
from runtime.documents.settings import ClientSettings, ServerSettings
from runtime.limits import Limits
from runtime.tunnel import session_messages
from runtime.tunnel.client import TunnelClient
from runtime.tunnel.data import Origin
from runtime.tunnel.server import TunnelServer
from runtime.tunnel.session_messages import ControlMessage, DataPlan
from runtime.tunnel.supervisor import Supervisor
from tests.channel import parties
from tests.channel.parties import FixedDocument
from tests.fakes.amd import FakeAmd
from tests.fakes.fleets import NOW, FleetMember, fleet_payload
from tests.tunnel.rig import visitor_tls

NAME = "tunnel.test"
HOSTNAMES = {
    "server-1": (),
    "server-2": (),
    "client-1": ("app.test", "*.shop.test"),
    "client-2": ("app.test",),
}
LIMITS = Limits(drain_s=0.5)
ROUTES = {"app.test": Origin(kind="tls", host="127.0.0.1", port=9, ssl_context=None)}


def digest(name: str) -> bytes:
    """The settings digest of a member."""
    return sha256(b"settings of " + name.encode()).digest()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@dataclass
class SmallFleet:
    """Two servers and two clients, under one document that can be replaced."""

    amd: FakeAmd
    limits: Limits = LIMITS
    documents: FixedDocument = field(init=False)
    sessions_port: int = field(default_factory=free_port)
    parties: dict[str, Party] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.documents = FixedDocument(self.payload())

    def payload(self, hostnames: Mapping[str, Sequence[str]] = HOSTNAMES, **options: Any) -> bytes:
        """A fleet document with these members and their hostnames."""
        return fleet_payload(
            [
                FleetMember(
                    name=name,
                    role="server" if name.startswith("server") else "client",
                    settings_digest=digest(name),
                    chip_id=self.amd.chip(name).chip_id,
                    hostnames=tuple(names),
                )
                for name, names in hostnames.items()
            ],
            **options,
        )

    def party(self, name: str, **changes: Any) -> Party:
        """What a member brings to its sessions; the same each time, as within one boot."""
        if name not in self.parties:
            side = Side.SERVER if name.startswith("server") else Side.CLIENT
            tee = parties.attester(self.amd, name, digest(name))
            made = parties.party(self.amd, side, tee, digest(name), b"", now=NOW, limits=self.limits)
            self.parties[name] = replace(made, documents=self.documents)
        return replace(self.parties[name], **changes)

    def server_settings(self, address: str, **changes: Any) -> ServerSettings:
        """One worker, every port but the sessions' chosen by the kernel."""
        made = ServerSettings(
            listen=(address,),
            visitors_port=0,
            sessions_port=self.sessions_port,
            data_port=0,
            workers=1,
            access_log="none",
        )
        return replace(made, **changes)

    def make_server(self, name: str = "server-1", address: str = "127.0.0.1", **changes: Any) -> TunnelServer:
        """A server that does not run yet."""
        return TunnelServer(
            settings=self.server_settings(address, **changes),
            tunnel_name=NAME,
            party=self.party(name),
            data_key=BootKey.create(NAME, NOW),
            limits=self.limits,
            status=lambda: {"member": name},
        )

    @contextlib.asynccontextmanager
    async def server(
        self, name: str = "server-1", address: str = "127.0.0.1"
    ) -> AsyncGenerator[TunnelServer, None]:
        """A running server."""
        server, ready = self.make_server(name, address), asyncio.Event()
        running = asyncio.create_task(server.run("/nonexistent/tunnel.sock", ready))
        async with asyncio.timeout(20):
            waiting = asyncio.create_task(ready.wait())
            await asyncio.wait({waiting, running}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
        try:
            if running.done():
                await running
            yield server
        finally:
            await ended(running)

    @contextlib.asynccontextmanager
    async def client(
        self, resolver: tuple[str, int], routes: Mapping[str, Origin], name: str = "client-1"
    ) -> AsyncGenerator[TunnelClient, None]:
        """A running client."""
        settings = ClientSettings(
            sessions_port=self.sessions_port,
            reconnect_cap_s=0.3,
            routes_file="",
            routes_urls=(),
            bundle=None,
            access_log="none",
        )
        client = TunnelClient(
            settings=settings,
            tunnel_name=NAME,
            resolver=resolver,
            party=self.party(name),
            limits=self.limits,
            routes=routes,
            status=lambda: {"member": name},
        )
        running = asyncio.create_task(client.run())
        try:
            yield client
        finally:
            await ended(running)

    async def dial(self, name: str = "client-1", address: str = "127.0.0.1", **changes: Any) -> Session:
        """A session as a client's, driven by hand. Raises: TunnelError."""
        party = self.party(name, **changes)
        wire = await transport.connect(address, self.sessions_port, party.key, Limits())
        return await channel.establish(wire, party, secrets.token_bytes(32))

    @contextlib.asynccontextmanager
    async def session(self, name: str = "client-1", **changes: Any) -> AsyncGenerator[Session, None]:
        """A session by hand, with the data plan received."""
        session = await self.dial(name, **changes)
        try:
            assert isinstance(await hear(session), DataPlan)
            yield session
        finally:
            session.transport.abort()
            await session.transport.closed


async def ended(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it is over."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def say(session: Session, message: ControlMessage) -> None:
    """Send one control message."""
    await session.send(session_messages.encode(message))


async def hear(session: Session, seconds: float = 5.0) -> ControlMessage:
    """Return the peer's next control message."""
    async with asyncio.timeout(seconds):
        return session_messages.decode(await session.receive())


def visitors_port(server: TunnelServer) -> int:
    """Where a server's worker takes visitors."""
    [worker] = server.workers._workers
    assert worker.ready is not None
    return worker.ready.visitor_ports[0]


async def visit(
    server: TunnelServer, host: str = "app.test", address: str = "127.0.0.1", patience_s: float = 20.0
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect as a visitor of `host`. Raises: OSError, ssl.SSLError when nobody serves it.

    A refused connection is tried again for a while: the worker opens its port a moment after it told of
    the session.
    """
    end = time.monotonic() + patience_s
    while True:
        try:
            async with asyncio.timeout(20):
                return await asyncio.open_connection(
                    address, visitors_port(server), ssl=visitor_tls(), server_hostname=host
                )
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.02)


async def is_served(server: TunnelServer, host: str, address: str = "127.0.0.1") -> bool:
    """Tell whether a visitor of `host` gets an echo."""
    try:
        reader, writer = await visit(server, host, address, patience_s=3.0)
    except (OSError, ssl.SSLError, TimeoutError):
        return False
    writer.write(b"hello")
    async with asyncio.timeout(20):
        answer = await reader.readexactly(5)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return answer == b"hello"


@contextlib.asynccontextmanager
async def supervised(
    fleet: SmallFleet, *, cap_s: float = 0.1, **party: Any
) -> AsyncGenerator[Supervisor, None]:
    """Run a client's supervisor of one address."""
    made = Supervisor(
        address="127.0.0.1",
        port=fleet.sessions_port,
        party=fleet.party("client-1", **party),
        limits=party.get("limits", LIMITS),
        pause_cap_s=cap_s,
        routes=ROUTES,
        status=dict,
        access=None,
    )
    running = asyncio.create_task(made.run())
    try:
        yield made
        assert not running.done()  # whatever happened
    finally:
        await ended(running)
