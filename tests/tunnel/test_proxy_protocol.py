"""The PROXY header against a parser that others wrote, and byte for byte."""

from __future__ import annotations

import asyncio
import ipaddress

from hypothesis import given
from hypothesis import strategies as st
from proxyprotocol.reader import ProxyProtocolReader
from proxyprotocol.v2 import ProxyProtocolV2

from runtime.tunnel.frames import Endpoint, OpenRequest
from runtime.tunnel.proxy_protocol import SIGNATURE, header


def request(visitor: Endpoint, server: Endpoint, hostname: str = "shop.example") -> OpenRequest:
    return OpenRequest(
        request_id=bytes(16), hostname=hostname, visitor=visitor, server=server, first=b"not part of it"
    )


def reference(data: bytes) -> tuple[object, object, str | None, bytes]:
    """What PyPI's proxy-protocol reads: source, destination, authority, and what is left."""

    async def read() -> tuple[object, object, str | None, bytes]:
        reader = asyncio.StreamReader()
        reader.feed_data(data + b"then the visitor")
        reader.feed_eof()
        result = await ProxyProtocolReader(ProxyProtocolV2()).read(reader)
        return result.source, result.dest, result.tlv.authority, await reader.read()

    return asyncio.run(read())


def test_ipv4_byte_for_byte() -> None:
    made = header(request(Endpoint.of("203.0.113.7", 51000), Endpoint.of("198.51.100.1", 443), "a.example"))
    assert made == SIGNATURE + bytes.fromhex("2111 0018 cb007107 c6336401 c738 01bb 02 0009") + b"a.example"


ADDRESSES = st.ip_addresses(v=4) | st.ip_addresses(v=6)
NAMES = st.from_regex(r"[a-z0-9]{1,20}(\.[a-z0-9]{1,20}){0,8}", fullmatch=True)


@given(ADDRESSES, st.integers(1, 65535), ADDRESSES, st.integers(1, 65535), NAMES)
def test_the_reference_parser_reads_the_same(
    visitor: ipaddress.IPv4Address | ipaddress.IPv6Address,
    visitor_port: int,
    server: ipaddress.IPv4Address | ipaddress.IPv6Address,
    server_port: int,
    name: str,
) -> None:
    made = header(
        request(Endpoint.of(str(visitor), visitor_port), Endpoint.of(str(server), server_port), name)
    )
    source, destination, authority, rest = reference(made)
    both = made[13] == 0x11
    if visitor.version == server.version == 4:
        assert both
    assert source == (as_sent(visitor, both), visitor_port)
    assert destination == (as_sent(server, both), server_port)
    assert (authority, rest) == (name, b"then the visitor")


def as_sent(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, v4: bool
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """One family carries both: IPv4 beside IPv6 is mapped, and a mapped pair is IPv4."""
    if address.version == 6:
        return (address.ipv4_mapped or address) if v4 else address
    return address if v4 else ipaddress.IPv6Address(f"::ffff:{address}")


def test_an_unknown_visitor_has_no_address() -> None:
    gone = Endpoint(address=bytes(16), port=0)
    made = header(request(gone, Endpoint.of("198.51.100.1", 443), "a.example"))
    assert made == SIGNATURE + bytes.fromhex("2100 000c 02 0009") + b"a.example"
    source, _, _, rest = reference(made)  # it reads no TLVs here
    assert (source, rest) == (None, b"then the visitor")


def test_the_longest_fits_one_segment() -> None:
    name = ".".join(["a" * 62] * 4)[:253]
    made = header(request(Endpoint.of("2001:db8::1", 1), Endpoint.of("2001:db8::2", 2), name))
    assert len(made) <= 308
