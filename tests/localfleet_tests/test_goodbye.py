"""A drain of real processes with visitors inside: 1001 for WebSockets, a cut for the rest, two lines each."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from runtime import event_loop
from tests.localfleet import provision
from tests.localfleet.configurations import Configuration
from tests.localfleet.fleet import LocalFleet, neighbours
from tests.localfleet.provision import SITE
from tests.visitors.programs import accepting

DRAIN_S = 2.0
FAREWELL_S = 0.5  # before the end of a drain this short: a quarter of it
LEAVE_S = 30.0  # for processes to end on a busy machine
SERVER, CLIENT = "aws-1", "client-1"
DRAINS = ([CLIENT], [SERVER], [SERVER, CLIENT])


def small(fleet: Configuration) -> Configuration:
    """One server, one client, a short drain, and a line in the log for each visitor."""
    return fleet | {
        "limits": {"drain_s": DRAIN_S},
        "access_log": "addresses",
        "servers": fleet["servers"][:1],
        "clients": fleet["clients"][:1],
    }


def trust(fleet: LocalFleet) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(fleet.certificate.ca))


@contextlib.asynccontextmanager
async def web_socket(fleet: LocalFleet) -> AsyncGenerator[ClientConnection, None]:
    """A WebSocket through the tunnel that has said and heard something."""
    port = fleet.made.ports.visitors
    async with connect(
        f"wss://{SITE}:{port}/ws", host=fleet.servers[SERVER], port=port, ssl=trust(fleet),
        server_hostname=SITE, open_timeout=LEAVE_S, ping_interval=None, proxy=None,
    ) as socket:  # fmt: skip
        await socket.send("hello")
        assert await socket.recv() == "hello"
        yield socket


@contextlib.asynccontextmanager
async def events(fleet: LocalFleet) -> AsyncGenerator[asyncio.StreamReader, None]:
    """A visitor who listens to events that do not end."""
    reader, writer = await asyncio.open_connection(
        fleet.servers[SERVER], fleet.made.ports.visitors, ssl=trust(fleet), server_hostname=SITE
    )
    writer.write(f"GET /sse?n=9999&every=0.05 HTTP/1.1\r\nHost: {SITE}\r\n\r\n".encode())
    await reader.readuntil(b"data: 1\n")
    try:
        yield reader
    finally:
        writer.transport.abort()


async def rest(reader: asyncio.StreamReader) -> None:
    """Read to the end, whichever it is."""
    with contextlib.suppress(OSError):
        while await reader.read(65536):
            pass


@pytest.mark.integration
@pytest.mark.timeout(300)
async def test_a_drain_says_1001_whoever_drains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.localfleet.ups.engine", lambda: None)  # the real one has a lane of its own
    made = await provision.provision(tmp_path, provision.free_ports(), _quietly, _quietly, edit=small)
    async with neighbours(made) as fleet:
        await fleet.start()
        for member in fleet.members.values():  # workers and control processes alike
            on_uvloop = _maps(member.pid, "/uvloop/")
            assert on_uvloop is (event_loop.factory() is not None)
        for drained in DRAINS:
            # A session stands a moment before its worker listens for visitors.
            await accepting(fleet.servers[SERVER], fleet.made.ports.visitors)
            async with web_socket(fleet) as socket, events(fleet) as reader, asyncio.timeout(60 + LEAVE_S):
                started = time.monotonic()
                ending = [asyncio.create_task(fleet.members[name].terminate(LEAVE_S)) for name in drained]
                with pytest.raises(ConnectionClosed) as caught:
                    await socket.recv()
                told_s = time.monotonic() - started
                await rest(reader)
                await asyncio.gather(*ending)  # each exits with 0
                assert caught.value.rcvd is not None, drained
                assert caught.value.rcvd.code == 1001, drained
                # Not at once: it had its time. A tenth for two clocks and a timer.
                assert told_s >= DRAIN_S - FAREWELL_S - 0.1, drained
            if drained is not DRAINS[-1]:
                await fleet.start(drained)
        _each_stream_has_two_lines(fleet, drains=len(DRAINS))


def _each_stream_has_two_lines(fleet: LocalFleet, *, drains: int) -> None:
    """One of the server and one of the client, joined by the id; the address is in the server's alone."""
    servers, clients = _lines(fleet.members[SERVER].log), _lines(fleet.members[CLIENT].log)
    assert len(servers) == len(clients) == 2 * drains  # the WebSocket and the events
    assert set(servers) == set(clients)
    for request, server in servers.items():
        client = clients[request]
        assert (server["peer"], client["peer"]) == (CLIENT, SERVER)
        assert server["hostname"] == client["hostname"] == SITE
        assert server["visitor"].startswith("127.")
        assert "visitor" not in client
        assert min(server["to_visitor_bytes"], client["from_visitor_bytes"]) > 100
        assert server["duration_s"] >= DRAIN_S - FAREWELL_S - 0.1
    # The events were cut by the drain. The WebSocket ended by itself once it had been told.
    told = sorted((server["reason"], clients[request]["reason"]) for request, server in servers.items())
    assert told.count(("drained", "drained")) == drains, told


def _lines(log: Path) -> dict[str, dict[str, Any]]:
    """The access log's lines of streams by their id."""
    found: dict[str, dict[str, Any]] = {}
    for text in log.read_text("utf-8").splitlines():
        line = json.loads(text) if text.startswith("{") else {}
        if (line.get("logger"), line.get("event")) == ("tunnel.access", "stream"):
            assert line["id"] not in found
            found[line["id"]] = line
    return found


def _quietly(_text: str) -> None: ...


def _maps(pid: int, what: str) -> bool:
    """Tell whether a process has such a file in memory."""
    return what in Path(f"/proc/{pid}/maps").read_text("utf-8")
