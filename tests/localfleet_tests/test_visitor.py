"""The visitor against real TLS origins on several loopback addresses, and against broken ones."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from runtime.errors import PeerError, UnreachableError
from tests.localfleet import origin, site_certificate
from tests.localfleet.dns import NameServer
from tests.localfleet.listener import Listener
from tests.localfleet.site_certificate import SiteCertificate
from tests.localfleet.visitor import Visitor

HOST = "app.demo.test"
ADDRESSES = ("127.0.0.21", "127.0.0.22", "127.0.0.23")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> SiteCertificate:
    return site_certificate.make(tmp_path_factory.mktemp("site"), [HOST, "*.dev.demo.test"])


@dataclass
class Site:
    """Three origins behind one name, on one port."""

    certificate: SiteCertificate
    names: NameServer
    port: int
    servers: dict[str, Listener]
    stack: AsyncExitStack

    def visitor(self, *, keep_alive: bool = True, timeout_s: float = 5.0) -> Visitor:
        return Visitor(
            self.names.address, self.certificate.ca, self.port, keep_alive=keep_alive, timeout_s=timeout_s
        )

    def name(self, *addresses: str, host: str = HOST) -> None:
        self.names.set_records([{"name": host, "type": "A", "ttl": 1, "values": list(addresses)}])

    async def broken(self, address: str, behave: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await reader.read(1)
                await behave(writer)
            finally:
                writer.transport.abort()

        server = await asyncio.start_server(serve, address, self.port)
        self.stack.callback(server.close)


@pytest.fixture
async def site(certificate: SiteCertificate) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        names = await stack.enter_async_context(NameServer())
        first = origin.listener(ADDRESSES[0], host=ADDRESSES[0], certificate=certificate)
        await stack.enter_async_context(first)
        site = Site(certificate, names, first.address[1], {ADDRESSES[0]: first}, stack)
        for address in ADDRESSES[1:]:
            server = origin.listener(address, host=address, port=site.port, certificate=certificate)
            site.servers[address] = await stack.enter_async_context(server)
        site.name(*ADDRESSES)
        yield site


async def test_visits_every_address_in_turn_and_says_which_answered(site: Site) -> None:
    async with site.visitor(keep_alive=False) as visitor:
        answers = [await visitor.get(HOST, "/who") for _ in range(6)]
    assert [answer.address for answer in answers] == [*ADDRESSES, *ADDRESSES]
    assert all(answer.headers["x-origin"] == answer.address for answer in answers)
    assert visitor.counters.by_address == dict.fromkeys(ADDRESSES, 2)
    assert (visitor.counters.answered, visitor.counters.retried, visitor.counters.connections) == (6, 0, 6)


async def test_keeps_a_connection_and_uses_it_again(site: Site) -> None:
    async with site.visitor() as visitor:
        answers = [await visitor.get(HOST) for _ in range(4)]
    assert [answer.reused for answer in answers] == [False, True, True, True]
    assert len({answer.address for answer in answers}) == 1


async def test_a_refused_address_is_left_for_the_next_at_once(site: Site) -> None:
    await site.servers[ADDRESSES[0]].close()
    async with site.visitor(keep_alive=False) as visitor:
        answers = [await visitor.get(HOST) for _ in range(3)]
    assert {answer.address for answer in answers} == set(ADDRESSES[1:])
    assert visitor.counters.retried == 1
    assert [answer.retried for answer in answers] == [1, 0, 0]


async def test_a_kept_connection_that_died_is_asked_again_elsewhere(site: Site) -> None:
    site.name(ADDRESSES[0], ADDRESSES[1])
    async with site.visitor() as visitor:
        assert (await visitor.get(HOST)).address == ADDRESSES[0]
        await site.servers[ADDRESSES[0]].close()
        answer = await visitor.get(HOST)
    assert answer.address == ADDRESSES[1]
    assert answer.retried >= 1
    assert visitor.counters.failed == 0


async def test_a_connection_reset_in_the_handshake_is_left_for_the_next(site: Site) -> None:
    async def reset(writer: asyncio.StreamWriter) -> None:
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    await site.broken("127.0.0.24", reset)
    site.name("127.0.0.24", ADDRESSES[1])
    async with site.visitor() as visitor:
        answer = await visitor.get(HOST)
    assert (answer.address, answer.retried) == (ADDRESSES[1], 1)


async def test_a_tls_alert_is_an_answer_and_not_a_reason_to_go_on(site: Site) -> None:
    async def alert(writer: asyncio.StreamWriter) -> None:
        writer.write(bytes.fromhex("15030300020270"))  # fatal unrecognized_name
        await writer.drain()
        await asyncio.sleep(0.1)

    await site.broken("127.0.0.24", alert)
    site.name("127.0.0.24", ADDRESSES[1])
    async with site.visitor() as visitor:
        with pytest.raises(PeerError, match="UNRECOGNIZED_NAME"):
            await visitor.get(HOST)
    assert visitor.counters.failed == 1


async def test_a_silent_address_is_never_left_for_the_next(site: Site) -> None:
    async def silent(_: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1)

    await site.broken("127.0.0.24", silent)
    site.name("127.0.0.24", ADDRESSES[1])
    async with site.visitor(timeout_s=0.3) as visitor:
        with pytest.raises(UnreachableError, match="silent"):
            await visitor.get(HOST)
    assert visitor.counters.retried == 0


async def test_an_answer_that_breaks_off_is_not_asked_again(certificate: SiteCertificate, site: Site) -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(half, "127.0.0.24", site.port, ssl=certificate.server_context())
    site.stack.callback(server.close)
    site.name("127.0.0.24", ADDRESSES[1])
    async with site.visitor() as visitor:
        with pytest.raises(PeerError, match="broken off"):
            await visitor.get(HOST)
    assert visitor.counters.retried == 0


async def test_trusts_one_ca_and_the_names_in_the_certificate(site: Site, tmp_path: Path) -> None:
    other = site_certificate.make(tmp_path, [HOST])
    stranger = Visitor(site.names.address, other.ca, site.port)
    with pytest.raises(PeerError) as refused:
        await stranger.get(HOST)
    assert refused.value.code == "certificate"
    site.name(*ADDRESSES, host="other.demo.test")
    async with site.visitor() as visitor:
        with pytest.raises(PeerError) as refused:
            await visitor.get("other.demo.test")
        assert refused.value.code == "certificate"
        site.name(*ADDRESSES, host="a.dev.demo.test")
        assert (await visitor.get("a.dev.demo.test")).status == 200


async def test_says_plainly_what_dns_did_not_have(site: Site) -> None:
    async with site.visitor() as visitor:
        with pytest.raises(UnreachableError, match="no such name"):
            await visitor.get("nobody.demo.test")
        with pytest.raises(UnreachableError, match="no address"):
            await visitor.get("demo.test")
    for server in site.servers.values():
        await server.close()
    async with site.visitor() as visitor:
        with pytest.raises(UnreachableError, match="no address answered"):
            await visitor.get(HOST)


async def test_reads_chunked_and_counted_bodies_alike(site: Site) -> None:
    async with site.visitor() as visitor:
        counted = await visitor.get(HOST, "/bytes/200000")
        events = await visitor.get(HOST, "/sse?n=3&every=0")
    assert counted.body == b"".join(origin.blocks(200_000))
    assert events.headers["transfer-encoding"] == "chunked"
    assert events.body.count(b"data: ") == 3


def test_the_site_key_is_for_its_owner_only(certificate: SiteCertificate) -> None:
    assert certificate.key.stat().st_mode & 0o777 == 0o600
    assert ssl.create_default_context(cafile=str(certificate.ca)).get_ca_certs()
