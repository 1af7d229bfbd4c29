"""A tunnel client that follows a real DNS server to real tunnel servers, and what visitors notice."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import tempfile
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runtime.documents.routes import Certificate, Route, Routes
from runtime.errors import UsageError
from runtime.tunnel import client as module
from runtime.tunnel import renewal
from runtime.tunnel.client import TunnelClient, origins
from runtime.tunnel.data import Kind, Origin
from runtime.tunnel.resolve import Answer
from tests.fakes.amd import FakeAmd
from tests.localfleet import site_certificate
from tests.localfleet.dns import NameServer
from tests.tunnel.rig import echo, until, visitor_tls
from tests.tunnel.small_fleet import HOSTNAMES, NAME, SmallFleet, is_served, visit
from tests.tunnel.test_limits_reached import full_backlog

ONE, OTHER = "127.0.0.1", "127.0.0.2"


def at(*addresses: str) -> list[dict[str, Any]]:
    return [{"name": f"{NAME}.", "type": "A", "ttl": 1, "values": list(addresses)}] if addresses else []


@pytest.fixture
def fleet(amd: FakeAmd, monkeypatch: pytest.MonkeyPatch) -> SmallFleet:
    monkeypatch.setattr(module, "RESOLVE_AT_LEAST_EVERY_S", 0.1)
    monkeypatch.setattr(module, "RESOLVE_AT_MOST_EVERY_S", 0.1)
    monkeypatch.setattr(module, "RETRY_DNS_S", 0.1)
    return SmallFleet(amd)


@pytest.fixture
async def routes() -> AsyncGenerator[dict[str, Origin], None]:
    """Every hostname leads to a site that ends TLS itself and echoes."""
    own = ssl_of_the_origin()
    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=own)
    port = server.sockets[0].getsockname()[1]
    async with server:
        names = ("app.test", "a.shop.test", "mallory.test")
        yield {name: Origin(kind="tls", host="127.0.0.1", port=port, ssl_context=None) for name in names}


def ssl_of_the_origin() -> ssl.SSLContext:
    with tempfile.TemporaryDirectory() as folder:
        return site_certificate.make(Path(folder), ["app.test", "*.shop.test"]).server_context()


def established(client: TunnelClient) -> list[str]:
    return [status.address for status in client.status() if status.state == "established" and status.granted]


async def test_what_the_document_grants_is_served_and_nothing_else(
    fleet: SmallFleet, routes: dict[str, Origin]
) -> None:
    async with (
        NameServer(at(ONE)) as dns,
        fleet.server() as server,
        fleet.client(dns.address, routes) as client,
    ):
        await until(lambda: established(client) == [ONE] and server.is_ready())
        assert client.is_ready()
        [status] = client.status()
        assert (set(status.granted), status.not_granted) == ({"app.test", "a.shop.test"}, ("mallory.test",))
        assert await is_served(server, "app.test")
        assert await is_served(server, "a.shop.test")
        for name in ("mallory.test", "b.shop.test", "other.test"):  # not granted, no route, neither
            assert not await is_served(server, name)
        # Routes change: what is gone is served no more, without a new session.
        await client.set_routes({"a.shop.test": routes["app.test"]})
        await until(lambda: client.status()[0].granted == ("a.shop.test",))
        assert not await is_served(server, "app.test")
        assert await is_served(server, "a.shop.test")
        assert client.status()[0].sessions == 1


async def test_a_member_that_is_dropped_loses_its_visitors_and_no_one_else_does(
    fleet: SmallFleet, routes: dict[str, Origin]
) -> None:
    """client-1 serves a.shop.test, client-2 app.test; the new document knows client-2 alone."""
    async with (
        NameServer(at(ONE)) as dns,
        fleet.server() as server,
        fleet.client(dns.address, {"a.shop.test": routes["app.test"]}, "client-1") as first,
        fleet.client(dns.address, {"app.test": routes["app.test"]}, "client-2") as second,
    ):
        await until(lambda: bool(established(first) and established(second)))
        await until(lambda: all(live.routed for live in server.sessions()))
        lost_reader, lost = await visit(server, "a.shop.test")
        kept_reader, kept = await visit(server, "app.test")
        fleet.documents.payload = fleet.payload(
            {name: names for name, names in HOSTNAMES.items() if name != "client-1"}, version=2
        )
        server.document_changed()
        async with asyncio.timeout(20):
            with contextlib.suppress(OSError, ssl.SSLError):
                assert await lost_reader.read() == b""
            kept.write(b"still here")
            assert await kept_reader.readexactly(10) == b"still here"
        assert not await is_served(server, "a.shop.test")
        assert await is_served(server, "app.test")
        await until(lambda: "evidence_refused" in first.status()[0].failures)
        for writer in (lost, kept):
            writer.close()


async def test_a_server_that_is_dropped_loses_this_clients_session(
    fleet: SmallFleet, routes: dict[str, Origin]
) -> None:
    """The client's own document is newer than the server's: the client ends it, and does not come back."""
    async with (
        NameServer(at(ONE)) as dns,
        fleet.server() as server,
        fleet.client(dns.address, routes) as client,
    ):
        await until(lambda: established(client) == [ONE])
        client.document_changed()
        assert established(client) == [ONE]
        fleet.documents.payload = fleet.payload(
            {name: names for name, names in HOSTNAMES.items() if name != "server-1"}, version=2
        )
        client.document_changed()
        await until(lambda: not established(client) and not server.sessions())
        await until(lambda: "evidence_refused" in client.status()[0].failures)


async def test_addresses_come_and_go_with_dns(fleet: SmallFleet, routes: dict[str, Origin]) -> None:
    async with (
        NameServer(at(ONE)) as dns,
        fleet.server("server-1", ONE) as one,
        fleet.server("server-2", OTHER) as other,
        fleet.client(dns.address, routes) as client,
    ):
        await until(lambda: established(client) == [ONE])
        dns.set_records(at(ONE, OTHER))
        await until(lambda: established(client) == [ONE, OTHER])
        assert await is_served(other, "app.test", OTHER)
        # One answer without an address is a resolver's mood; it has to be missing twice.
        reader, writer = await visit(one, "app.test", ONE)
        dns.set_records(at(OTHER))
        await until(lambda: established(client) == [OTHER])
        writer.write(b"drained, not cut")
        async with asyncio.timeout(20):
            assert await reader.readexactly(16) == b"drained, not cut"
        writer.close()
        await until(lambda: not one.sessions())
        assert [live.session.peer.member for live in other.sessions()] == ["client-1"]


async def test_addresses_beyond_the_limit_are_left_out_and_named(
    fleet: SmallFleet, caplog: pytest.LogCaptureFixture
) -> None:
    fleet.limits = replace(fleet.limits, max_addresses=1)
    async with NameServer(at(ONE, OTHER)) as dns, fleet.client(dns.address, {}) as client:
        await until(lambda: bool(client.status()))
        assert [status.address for status in client.status()] == [ONE]
    [said] = {str(r.__dict__["fields"]) for r in caplog.records if "left out" in r.message}
    assert said == "{'code': 'too_many_addresses', 'left_out': 1}"


async def test_a_server_that_takes_no_connection_is_dialled_again(fleet: SmallFleet) -> None:
    fleet.limits = replace(fleet.limits, session_dial_s=0.2)
    with full_backlog() as fleet.sessions_port:
        async with NameServer(at(ONE)) as dns, fleet.client(dns.address, {}) as client:
            await until(lambda: bool(client.status()))
            status = client.status()[0]
            await until(lambda: status.failures.get("session_deadline", 0) >= 2)
            assert "session_dial_s" in status.last_error
            assert set(status.failures) == {"session_deadline"}


async def test_a_broken_resolver_ends_no_service(fleet: SmallFleet, routes: dict[str, Origin]) -> None:
    async with (
        NameServer(at(ONE)) as dns,
        fleet.server() as server,
        fleet.client(dns.address, routes) as client,
    ):
        await until(lambda: established(client) == [ONE])
        asked = dns.queries
        dns.set_records([])  # the whole zone is gone: REFUSED, or NXDOMAIN
        await until(lambda: dns.queries > asked + 8)
        assert established(client) == [ONE]
        assert await is_served(server, "app.test")
        assert client.status()[0].sessions == 1


async def test_a_kind_of_address_that_cannot_be_asked_for_drains_nobody(
    fleet: SmallFleet, routes: dict[str, Origin]
) -> None:
    async with (
        fleet.server("server-1", ONE),
        fleet.client(("127.0.0.1", 9), routes) as client,
        asyncio.TaskGroup() as tasks,
    ):
        client._follow(Answer(addresses=(ONE,), ttl_s=1, complete=True, left_out=0), tasks)
        await until(lambda: established(client) == [ONE])
        for _ in range(5):
            client._follow(Answer(addresses=(), ttl_s=1, complete=False, left_out=0), tasks)
        assert established(client) == [ONE]
        for _ in range(module.MISSES_BEFORE_DRAIN):
            assert client.status()
            client._follow(Answer(addresses=(), ttl_s=1, complete=True, left_out=0), tasks)
        assert client.status() == []


async def test_a_server_that_went_away_is_dialled_until_it_is_back(
    fleet: SmallFleet, routes: dict[str, Origin]
) -> None:
    async with NameServer(at(ONE)) as dns, fleet.client(dns.address, routes) as client:
        async with fleet.server():
            await until(lambda: established(client) == [ONE])
        await until(lambda: not established(client))
        await until(lambda: client.status()[0].failures.get("unreachable", 0) >= 2)
        assert not client.is_ready()
        async with fleet.server() as back:
            await until(lambda: established(client) == [ONE] and back.is_ready())
            assert await is_served(back, "app.test")
            assert client.status()[0].sessions == 2


# -- origins --------------------------------------------------------------------------------------------


PIN = bytes(range(32))


def agreed(origin: Origin) -> str | None:
    """What a visitor who can speak both versions agrees on."""
    assert origin.ssl_context is not None
    to_client, to_visitor = ssl.MemoryBIO(), ssl.MemoryBIO()
    visiting = visitor_tls()
    visiting.set_alpn_protocols(["h2", "http/1.1"])
    visitor = visiting.wrap_bio(to_visitor, to_client, server_hostname="app.test")
    client = origin.ssl_context.wrap_bio(to_client, to_visitor, server_side=True)
    for end in (visitor, client, visitor):
        with contextlib.suppress(ssl.SSLWantReadError):
            end.do_handshake()
    return visitor.selected_alpn_protocol()


@pytest.mark.parametrize(
    ("kind", "version"), [("http", "http/1.1"), ("https", "http/1.1"), ("h2c", "h2"), ("h2", "h2")]
)
def test_http_2_is_on_offer_where_the_service_says_so(tmp_path: Path, kind: Kind, version: str) -> None:
    made = site_certificate.make(tmp_path, ["app.test"])
    route = Route(
        hostname="app.test",
        kind=kind,
        host="127.0.0.1",
        port=80,
        certificate=Certificate(chain=str(made.chain), key=str(made.key)),
        pins=(PIN,) if kind in ("https", "h2") else (),
        proxy_protocol=False,
    )
    assert agreed(origins(Routes(version=1, routes=(route,)))["app.test"]) == version


def test_routes_become_origins(tmp_path: Path) -> None:
    made = site_certificate.make(tmp_path, ["app.test"])
    http = Route(
        hostname="app.test",
        kind="http",
        host="127.0.0.1",
        port=80,
        certificate=Certificate(chain=str(made.chain), key=str(made.key)),
        pins=(),
        proxy_protocol=False,
    )
    tls = replace(http, hostname="b.test", kind="tls", host="::1", port=443, certificate=None)
    h2 = replace(http, hostname="c.test", kind="h2", host="c.internal", pins=(PIN,), proxy_protocol=True)
    built = origins(Routes(version=1, routes=(http, tls, h2)))
    assert (built["c.test"].pins, built["c.test"].proxy_protocol) == (frozenset({PIN}), True)
    assert built["app.test"].ssl_context is not None
    assert built["b.test"] == Origin(kind="tls", host="::1", port=443, ssl_context=None)


@pytest.mark.parametrize("break_it", ["missing", "no key", "another key"])
def test_one_certificate_that_cannot_be_loaded_refuses_the_whole_file(tmp_path: Path, break_it: str) -> None:
    made = site_certificate.make(tmp_path, ["app.test"])
    other = site_certificate.make(tmp_path / "other", ["app.test"])
    chain, key = {
        "missing": (tmp_path / "none.pem", made.key),
        "no key": (made.chain, made.ca),
        "another key": (made.chain, other.key),
    }[break_it]
    route = Route(
        hostname="app.test",
        kind="http",
        host="127.0.0.1",
        port=80,
        certificate=Certificate(chain=str(chain), key=str(key)),
        pins=(),
        proxy_protocol=False,
    )
    with pytest.raises(UsageError, match=r"certificate of app\.test"):
        origins(Routes(version=1, routes=(route,)))


async def test_sessions_attest_again_and_visitors_notice_nothing(
    fleet: SmallFleet, routes: dict[str, Origin], monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.limits = replace(fleet.limits, reattest_s=0.5)
    monkeypatch.setattr(renewal, "SOONEST_S", 0.1)
    async with (
        NameServer(at(ONE)) as dns,
        fleet.server() as server,
        fleet.client(dns.address, routes) as client,
    ):
        await until(lambda: established(client) == [ONE])
        await until(lambda: bool(server.sessions()))
        reader, writer = await visit(server, "app.test")
        [live] = server.sessions()
        await until(lambda: live.session.epoch >= 2)
        writer.write(b"same stream")
        assert await reader.readexactly(11) == b"same stream"
        [supervisor] = [supervisor for supervisor, _ in client._running.values()]
        assert supervisor._joined is not None
        for connection in supervisor._joined.connections.values():
            connection.abort()  # what is dialled anew joins with the new epoch's secret
        async with asyncio.timeout(20):
            while not await is_served(server, "app.test"):  # noqa: ASYNC110 - a visitor looks from outside
                await asyncio.sleep(0.05)
        assert client.status()[0].sessions == 1
        writer.close()


async def test_a_hostname_that_the_new_document_takes_away_is_served_no_more(
    fleet: SmallFleet, routes: dict[str, Origin]
) -> None:
    async with (
        NameServer(at(ONE)) as dns,
        fleet.server() as server,
        fleet.client(dns.address, routes) as client,
    ):
        await until(lambda: established(client) == [ONE])
        assert await is_served(server, "app.test")
        fleet.documents.payload = fleet.payload({**HOSTNAMES, "client-1": ("*.shop.test",)}, version=2)
        server.document_changed()
        async with asyncio.timeout(20):
            while await is_served(server, "app.test"):  # noqa: ASYNC110 - a visitor looks from outside
                await asyncio.sleep(0.05)
        assert await is_served(server, "a.shop.test")
        assert client.status()[0].sessions == 1


def test_a_certificate_made_at_boot_is_asked_for_by_hostname(tmp_path: Path) -> None:
    route = Route(
        hostname="app.test",
        kind="http",
        host="127.0.0.1",
        port=80,
        certificate="at_boot",
        pins=(),
        proxy_protocol=False,
    )
    made = site_certificate.make(tmp_path, ["app.test"])
    asked: list[str] = []

    def at_boot(hostname: str) -> tuple[bytes, bytes]:
        asked.append(hostname)
        return made.chain.read_bytes(), made.key.read_bytes()

    built = origins(Routes(version=1, routes=(route,)), at_boot)
    assert asked == ["app.test"]
    assert agreed(built["app.test"]) == "http/1.1"
    with pytest.raises(UsageError, match="makes no certificates"):
        origins(Routes(version=1, routes=(route,)))
