"""What can be reached, and what a visitor can learn."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

import aiohttp
import pytest

from tests.localfleet.fleet import LocalFleet
from tests.localfleet.provision import CLIENTS, SERVERS, SITE, TUNNEL_NAME
from tests.tunnel.rig import client_hello
from tests.visitors import whole
from tests.visitors.programs import WAIT_S
from tests.visitors.whole import FixedOrder

pytestmark = [
    pytest.mark.integration, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="session"),
]  # fmt: skip
VISITS = 24


async def test_no_socket_listens_but_the_documented(fleet: tuple[LocalFleet, FixedOrder]) -> None:
    running, _ = fleet
    ports = running.made.ports
    for name, address in SERVERS.items():
        wanted = {(address, port) for port in (ports.visitors, ports.sessions, ports.data)}
        wanted.add(("127.0.0.1", ports.admin[name]))
        pid, documented = running.members[name].pid, {("tcp", *each) for each in wanted}
        await _until(lambda: whole.listening(pid) >= documented)  # noqa: B023 - waited for at once
        assert whole.listening(pid) == documented
    for name in CLIENTS:
        assert whole.listening(running.members[name].pid) == {("tcp", "127.0.0.1", ports.admin[name])}


async def _until(condition: Callable[[], bool]) -> None:
    """Wait: a server that a test before has harmed may still be opening its doors."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - another process has no event of ours
            await asyncio.sleep(0.05)


async def server_hello(address: str, port: int) -> tuple[bytes, tuple[int, ...]]:
    """The first flight: record types and lengths, and the ServerHello without what is random in it."""
    reader, writer = await asyncio.open_connection(address, port)
    writer.write(client_hello(SITE))
    async with asyncio.timeout(WAIT_S):
        head = await reader.readexactly(5)
        body = await reader.readexactly(int.from_bytes(head[3:5]))
    writer.close()
    # handshake header 4, version 2, random 32, session id 1 + 32, cipher 2, compression 1, then extensions
    session_id = 38 + 1 + body[38]
    return body[:6] + body[session_id : session_id + 3], (head[0], len(body))


async def test_no_two_visits_show_that_there_is_more_than_one_client(
    fleet: tuple[LocalFleet, FixedOrder],
) -> None:
    """Round robin over two clients; nothing in TCP or in the clear part of TLS tells which one it was."""
    running, _ = fleet
    address, port = next(iter(SERVERS.values())), running.made.ports.visitors
    seen = {await server_hello(address, port) for _ in range(VISITS)}
    assert len(seen) == 1
    found: set[tuple[object, ...]] = set()
    origins: set[str] = set()
    for _ in range(VISITS):
        context = ssl.create_default_context(cafile=str(running.certificate.ca))
        context.set_alpn_protocols(["http/1.1"])
        reader, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=SITE)
        writer.write(f"GET /version HTTP/1.1\r\nHost: {SITE}\r\nConnection: close\r\n\r\n".encode())
        async with asyncio.timeout(WAIT_S):
            answer = await reader.read(-1)
        tls = writer.get_extra_info("ssl_object")
        found.add(
            (
                writer.get_extra_info("peername"),
                tls.version(),
                tls.cipher(),
                tls.getpeercert(binary_form=True),
                tls.selected_alpn_protocol(),
                tls.session is None or tls.session.has_ticket,
            )
        )
        writer.close()
        origins.add(next(name for name in CLIENTS if name.encode() in answer))
    assert len(found) == 1
    assert next(iter(found))[0] == (address, port)
    assert next(iter(found))[-1] is False
    assert origins == set(CLIENTS), "both clients took part, or this test shows nothing"


async def test_the_tunnel_name_tells_a_stranger_nothing_of_clients(
    fleet: tuple[LocalFleet, FixedOrder],
) -> None:
    running, _ = fleet
    address, port = next(iter(SERVERS.values())), running.made.ports.visitors
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # self-signed, bound by evidence
    async with aiohttp.ClientSession() as session:
        for path in ("/readyz", "/", "/status", "/metrics", "/healthz"):
            async with session.get(
                f"https://{address}:{port}{path}", ssl=context, server_hostname=TUNNEL_NAME
            ) as answer:
                said = (await answer.text()).lower()
                assert answer.status == (200 if path == "/readyz" else 404), path
                assert not any(word in said for word in ("client", "session", "member")), said


async def test_no_session_and_no_such_site_look_the_same(fleet: tuple[LocalFleet, FixedOrder]) -> None:
    """A hostname that some client was granted but nobody serves, and one that never was."""
    running, _ = fleet
    address, port = next(iter(SERVERS.values())), running.made.ports.visitors
    answers: set[bytes] = set()
    for name in ("nobody.demo.test", "granted-to-none.example", "app.demo.test.example"):
        reader, writer = await asyncio.open_connection(address, port)
        writer.write(client_hello(name))
        async with asyncio.timeout(WAIT_S):
            answers.add(await reader.read(-1))
        writer.close()
    assert len(answers) == 1
