"""Who is asked, and what counts as an answer."""

from __future__ import annotations

import asyncio

import pytest

from infra import seen
from infra.seen import NameServer
from runtime.errors import UnreachableError, UsageError
from tests.localfleet import dns as local_dns


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.1", "192.0.2.1:53"),
        ("192.0.2.1:5353", "192.0.2.1:5353"),
        ("2001:db8::1", "[2001:db8::1]:53"),
        ("[2001:db8::1]:5353", "[2001:db8::1]:5353"),
    ],
)
def test_a_server_is_an_address_and_a_port(text: str, expected: str) -> None:
    assert str(seen.parse_server(text)) == expected


@pytest.mark.parametrize("text", ["192.0.2.1:x", "192.0.2.1:0", ":53", "192.0.2.1:70000"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="want ADDRESS or ADDRESS:PORT"):
        seen.parse_server(text)


async def test_no_such_name_is_no_address_and_no_answer_is_an_error() -> None:
    records = [{"name": "a.demo.test", "type": "A", "ttl": 5, "values": ["192.0.2.1"]}]
    async with local_dns.NameServer(records, host="127.0.0.1") as server:
        resolver = seen.resolver_at(NameServer(address="127.0.0.1", port=server.address[1]))
        assert await asyncio.to_thread(seen.addresses, resolver, "a.demo.test", "A") == {"192.0.2.1"}
        assert await asyncio.to_thread(seen.addresses, resolver, "a.demo.test", "AAAA") == frozenset()
        assert await asyncio.to_thread(seen.addresses, resolver, "b.demo.test", "A") == frozenset()
        with pytest.raises(UnreachableError, match=r"did not answer for a\.other\.test A"):
            await asyncio.to_thread(seen.addresses, resolver, "a.other.test", "A")


async def test_the_zone_s_own_name_servers_are_read() -> None:
    records = [{"name": "demo.test", "type": "NS", "ttl": 5, "values": ["NS1.example.", "ns2.example."]}]
    async with local_dns.NameServer(records, host="127.0.0.1") as server:
        asked = NameServer(address="127.0.0.1", port=server.address[1])
        assert await asyncio.to_thread(seen.name_servers, "demo.test", asked) == {
            "ns1.example.",
            "ns2.example.",
        }


def test_without_name_servers_nobody_can_be_asked() -> None:
    with pytest.raises(UnreachableError, match=r"\(no name\) has an address"):
        seen.authoritative({"nameServers": {}})
