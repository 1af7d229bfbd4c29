"""The local DNS server against dnspython's own resolver, raw sockets, and dig where there is one."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import dns.asyncquery
import dns.asyncresolver
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.resolver
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import DocumentError
from tests.localfleet.dns import NameServer
from tests.localfleet.zone import EDNS_SIZE, Zone

RECORDS: list[dict[str, Any]] = [
    {"name": "tunnel.demo.test", "type": "A", "ttl": 5, "values": ["127.0.0.11", "127.0.0.12", "127.0.0.13"]},
    {"name": "tunnel.demo.test", "type": "AAAA", "ttl": 5, "values": ["::1"]},
    {"name": "app.demo.test", "type": "CNAME", "ttl": 5, "values": ["tunnel.demo.test."]},
    {"name": "deep.below.demo.test", "type": "TXT", "ttl": 5, "values": ['"x"']},
    {"name": "demo.test", "type": "CAA", "ttl": 5, "values": ['0 issue "ca.example"']},
    {
        "name": "big.demo.test",
        "type": "A",
        "ttl": 5,
        "values": [f"10.0.{n // 250}.{n % 250}" for n in range(200)],
    },
]


@pytest.fixture
async def server() -> AsyncIterator[NameServer]:
    async with NameServer(RECORDS) as running:
        yield running


def _resolver(server: NameServer) -> dns.asyncresolver.Resolver:
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = [server.address[0]], server.address[1]
    resolver.lifetime = 5
    return resolver


async def _ask(server: NameServer, name: str, kind: str = "A", **options: Any) -> dns.message.Message:
    query = dns.message.make_query(name, kind, **options)
    return await dns.asyncquery.udp(query, server.address[0], port=server.address[1], timeout=5)


async def test_rotates_so_that_every_address_comes_first_equally_often(server: NameServer) -> None:
    resolver = _resolver(server)
    answers = [await resolver.resolve("tunnel.demo.test", "A") for _ in range(9)]
    assert Counter(str(answer[0]) for answer in answers) == {
        "127.0.0.11": 3,
        "127.0.0.12": 3,
        "127.0.0.13": 3,
    }
    assert {len(answer) for answer in answers} == {3}
    assert answers[0].rrset is not None
    assert answers[0].rrset.ttl == 5


async def test_follows_an_alias_and_keeps_its_target_rotating(server: NameServer) -> None:
    answer = await _resolver(server).resolve("app.demo.test", "A")
    assert str(answer.canonical_name) == "tunnel.demo.test."
    assert len(answer) == 3


async def test_names_are_case_insensitive(server: NameServer) -> None:
    assert len(await _resolver(server).resolve("TUNNEL.Demo.TEST", "AAAA")) == 1


async def test_an_unknown_name_is_nxdomain_with_a_start_of_authority(server: NameServer) -> None:
    response = await _ask(server, "nobody.demo.test")
    assert response.rcode() == dns.rcode.NXDOMAIN
    assert [rrset.rdtype for rrset in response.authority] == [dns.rdatatype.SOA]
    assert response.flags & dns.flags.AA
    with pytest.raises(dns.resolver.NXDOMAIN):
        await _resolver(server).resolve("nobody.demo.test", "A")


@pytest.mark.parametrize(
    ("name", "kind"), [("demo.test", "A"), ("below.demo.test", "A"), ("tunnel.demo.test", "TXT")]
)
async def test_a_name_without_that_type_is_an_empty_answer(server: NameServer, name: str, kind: str) -> None:
    response = await _ask(server, name, kind)
    assert (response.rcode(), response.answer) == (dns.rcode.NOERROR, [])
    assert [rrset.rdtype for rrset in response.authority] == [dns.rdatatype.SOA]


async def test_another_zone_and_another_class_are_refused(server: NameServer) -> None:
    assert (await _ask(server, "example.org")).rcode() == dns.rcode.REFUSED
    assert (await _ask(server, "tunnel.demo.test", rdclass="CH")).rcode() == dns.rcode.REFUSED


async def test_a_big_answer_is_truncated_on_udp_and_whole_on_tcp(server: NameServer) -> None:
    for edns in (False, True):
        response = await _ask(server, "big.demo.test", use_edns=edns, payload=4096 if edns else None)
        assert response.flags & dns.flags.TC
        assert len(response.to_wire()) <= EDNS_SIZE
    assert len(await _resolver(server).resolve("big.demo.test", "A")) == 200


async def test_edns_widens_what_fits_on_udp(server: NameServer) -> None:
    server.set_records(
        [{"name": "mid.demo.test", "type": "A", "ttl": 5, "values": [f"10.0.0.{n}" for n in range(50)]}]
    )
    assert (await _ask(server, "mid.demo.test")).flags & dns.flags.TC
    wide = await _ask(server, "mid.demo.test", use_edns=0, payload=4096)
    assert not wide.flags & dns.flags.TC
    assert wide.edns == 0


async def test_an_unknown_edns_version_and_opcode_are_named(server: NameServer) -> None:
    assert (await _ask(server, "tunnel.demo.test", use_edns=1)).rcode() == dns.rcode.BADVERS
    query = dns.message.make_query("tunnel.demo.test", "A")
    query.set_opcode(dns.opcode.STATUS)
    response = await dns.asyncquery.udp(query, server.address[0], port=server.address[1], timeout=5)
    assert response.rcode() == dns.rcode.NOTIMP


async def test_replaced_records_show_at_once_and_broken_ones_change_nothing(server: NameServer) -> None:
    server.set_records([{"name": "tunnel.demo.test", "type": "A", "ttl": 5, "values": ["127.0.0.99"]}])
    assert [str(a) for a in await _resolver(server).resolve("tunnel.demo.test", "A")] == ["127.0.0.99"]
    with pytest.raises(DocumentError) as refused:
        server.set_records([{"name": "x.demo.test", "type": "A", "ttl": 5, "values": ["not an address"]}, {}])
    assert len(refused.value.problems) == 2
    assert [str(a) for a in await _resolver(server).resolve("tunnel.demo.test", "A")] == ["127.0.0.99"]


def test_a_set_given_twice_or_empty_is_refused() -> None:
    with pytest.raises(DocumentError):
        Zone([RECORDS[0], RECORDS[0]])
    with pytest.raises(DocumentError):
        Zone([{"name": "a.demo.test", "type": "A", "ttl": 5, "values": []}])


def test_an_alias_that_leaves_the_zone_or_bites_its_tail_still_answers() -> None:
    zone = Zone(
        [
            {"name": "out.demo.test", "type": "CNAME", "ttl": 5, "values": ["www.example.org."]},
            {"name": "loop.demo.test", "type": "CNAME", "ttl": 5, "values": ["loop.demo.test."]},
        ]
    )
    for name, length in (("out.demo.test", 1), ("loop.demo.test", 1)):
        wire = zone.answer(dns.message.make_query(name, "A").to_wire(), tcp=True)
        assert wire is not None
        assert len(dns.message.from_wire(wire).answer) == length


@given(st.binary(max_size=80))
def test_any_bytes_are_answered_or_left_alone(data: bytes) -> None:
    reply = Zone(RECORDS).answer(data, tcp=False)
    assert reply is None or (reply[:2] == data[:2] and reply[2] & 0x80)


@given(st.integers(0, 40), st.integers(0, 255))
def test_a_damaged_query_is_answered_or_left_alone(position: int, value: int) -> None:
    query = bytearray(dns.message.make_query("tunnel.demo.test", "A", use_edns=0).to_wire())
    query[position % len(query)] = value
    Zone(RECORDS).answer(bytes(query), tcp=False)


async def test_garbage_on_udp_and_tcp_does_not_stop_it(server: NameServer) -> None:
    reader, writer = await asyncio.open_connection(*server.address)
    with closing(writer):
        writer.write(b"\x00\x0cgarbagegarba\x00")
        reply = await reader.readexactly(14)
        assert reply[5] & 0x0F == dns.rcode.FORMERR
    assert len(await _resolver(server).resolve("tunnel.demo.test", "A")) == 3


async def test_a_taken_port_is_an_error_and_not_another_port(server: NameServer) -> None:
    with pytest.raises(OSError, match="in use"):
        await NameServer(host=server.address[0], port=server.address[1]).start()


@pytest.mark.skipif(shutil.which("dig") is None, reason="dig is not on this machine")
async def test_dig_agrees(server: NameServer) -> None:
    process = await asyncio.create_subprocess_exec(
        "dig", "+short", f"@{server.address[0]}", "-p", str(server.address[1]), "app.demo.test", "A",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert sorted(out.decode().split()) == ["127.0.0.11", "127.0.0.12", "127.0.0.13", "tunnel.demo.test."]


@pytest.mark.integration
async def test_the_program_reads_its_file_again_when_it_changes(tmp_path: Path) -> None:
    records = tmp_path / "records.json"
    records.write_text(json.dumps(RECORDS[:1]))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.localfleet.dns", "--listen", "127.0.0.1:0", "--records", str(records),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with asyncio.timeout(20):
            line = (await process.stdout.readline()).decode()
            await process.stderr.readline()
            server = NameServer(port=int(line.split(":")[1].split()[0]))
            assert len(await _resolver(server).resolve("tunnel.demo.test", "A")) == 3
            records.write_text("[half")
            records.write_text(json.dumps([{**RECORDS[0], "values": ["127.0.0.14"]}]))
            while b"records read" not in await process.stderr.readline():
                pass
            assert [str(a) for a in await _resolver(server).resolve("tunnel.demo.test", "A")] == [
                "127.0.0.14"
            ]
    finally:
        process.kill()
        await process.communicate()
