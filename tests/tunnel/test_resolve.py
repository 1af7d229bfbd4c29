"""Following a name: against a real DNS server, and against servers that are worse than that."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any

import dns.asyncresolver
import dns.message
import dns.rcode
import dns.resolver
import pytest

from runtime.errors import UnreachableError
from runtime.limits import Limits
from runtime.tunnel import resolve as module
from runtime.tunnel.resolve import Answer, resolve
from tests.localfleet.dns import NameServer

NAME = "tunnel.test"
LIMITS = Limits(dns_s=0.3)


def records(kind: str, *values: str, ttl: int = 30) -> dict[str, Any]:
    return {"name": f"{NAME}.", "type": kind, "ttl": ttl, "values": list(values)}


async def test_both_kinds_of_address_and_the_shorter_life() -> None:
    a, aaaa = records("A", "127.0.0.12", "127.0.0.11", ttl=30), records("AAAA", "::1", ttl=7)
    async with NameServer([a, aaaa]) as server:
        answer = await resolve(NAME, server.address, LIMITS)
    assert answer == Answer(addresses=("127.0.0.11", "127.0.0.12", "::1"), ttl_s=7, complete=True, left_out=0)


@pytest.mark.parametrize(("kind", "value"), [("A", "127.0.0.11"), ("AAAA", "2001:db8::1")])
async def test_one_kind_alone_is_enough(kind: str, value: str) -> None:
    async with NameServer([records(kind, value, ttl=60)]) as server:
        assert await resolve(NAME, server.address, LIMITS) == Answer(
            addresses=(value,), ttl_s=60, complete=True, left_out=0
        )


async def test_a_life_of_zero_is_a_second() -> None:
    async with NameServer([records("A", "127.0.0.1", ttl=0)]) as server:
        assert (await resolve(NAME, server.address, LIMITS)).ttl_s == 1


async def test_what_dns_says_now_counts_and_nothing_is_remembered() -> None:
    async with NameServer([records("A", "127.0.0.11", ttl=3600)]) as server:
        await resolve(NAME, server.address, LIMITS)
        server.set_records([records("A", "127.0.0.12", ttl=3600)])
        assert (await resolve(NAME, server.address, LIMITS)).addresses == ("127.0.0.12",)


async def test_a_hundred_addresses_are_capped() -> None:
    """Over TCP too: the answer does not fit into a datagram."""
    many = [f"127.0.1.{n}" for n in range(1, 101)]
    async with NameServer([records("A", *many)]) as server:
        answer = await resolve(NAME, server.address, LIMITS)
    assert (len(answer.addresses), answer.left_out) == (64, 36)
    assert set(answer.addresses) < set(many)


async def test_a_name_that_does_not_exist_is_unreachable() -> None:
    async with NameServer(
        [{"name": "other.test.", "type": "A", "ttl": 1, "values": ["127.0.0.1"]}]
    ) as server:
        with pytest.raises(UnreachableError, match="A: "):
            await resolve(NAME, server.address, LIMITS)
        with pytest.raises(UnreachableError, match="NXDOMAIN"):
            await resolve("none.other.test", server.address, LIMITS)


async def test_a_name_without_addresses_is_unreachable() -> None:
    async with NameServer([{"name": f"{NAME}.", "type": "TXT", "ttl": 1, "values": ['"hello"']}]) as server:
        with pytest.raises(UnreachableError, match="there is no A and no AAAA record"):
            await resolve(NAME, server.address, LIMITS)


async def test_no_search_list_is_tried() -> None:
    """`tunnel` alone must not become `tunnel.<whatever this machine's domain is>`."""
    async with NameServer([records("A", "127.0.0.1")]) as server:
        with pytest.raises(UnreachableError):
            await resolve("tunnel", server.address, LIMITS)


# -- servers that are worse ---------------------------------------------------------------------------


class _Bad(asyncio.DatagramProtocol):
    def __init__(self, answer: Callable[[bytes], bytes | None]) -> None:
        self._answer = answer
        self.asked = 0

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # typeshed declares the base transport
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.asked += 1
        reply = self._answer(data)
        if reply is not None:
            self._transport.sendto(reply, addr)


@contextlib.asynccontextmanager
async def bad_server(answer: Callable[[bytes], bytes | None]) -> AsyncGenerator[tuple[str, int], None]:
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Bad(answer), local_addr=("127.0.0.1", 0)
    )
    try:
        yield transport.get_extra_info("sockname")
        assert protocol.asked
    finally:
        transport.close()
        await asyncio.sleep(0)


def _rcode(code: dns.rcode.Rcode) -> Callable[[bytes], bytes]:
    def answer(query: bytes) -> bytes:
        response = dns.message.make_response(dns.message.from_wire(query))
        response.set_rcode(code)
        return response.to_wire()

    return answer


def _of_another_question(query: bytes) -> bytes:
    asked = dns.message.from_wire(query)
    response = dns.message.make_response(dns.message.make_query("mallory.test", "A", id=asked.id))
    return response.to_wire()


BAD: dict[str, Callable[[bytes], bytes | None]] = {
    "servfail": _rcode(dns.rcode.SERVFAIL),
    "refused": _rcode(dns.rcode.REFUSED),
    "silent": lambda _: None,
    "garbage": lambda query: query[:2] + b"\xff" * 40,
    "an echo": lambda query: query,
    "another question": _of_another_question,
    "another id": lambda query: bytes([query[0] ^ 1]) + _rcode(dns.rcode.NOERROR)(query)[1:],
}


@pytest.mark.parametrize("name", list(BAD))
async def test_a_broken_server_is_unreachable_within_the_deadline(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = time.monotonic()
    async with bad_server(BAD[name]) as address:
        with pytest.raises(UnreachableError, match="could not be resolved") as caught:
            await resolve(NAME, address, LIMITS)
    assert ("(dns_s)" in str(caught.value)) or name != "silent"
    assert time.monotonic() - started < 2.5  # two kinds of address, one lifetime each


async def test_one_kind_that_fails_does_not_hide_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    async with NameServer([records("A", "127.0.0.11")]) as good:

        def only_a(query: bytes) -> bytes | None:
            wants_a = dns.message.from_wire(query).question[0].rdtype == 1
            return good.answer(query, tcp=False) if wants_a else _rcode(dns.rcode.SERVFAIL)(query)

        async with bad_server(only_a) as address:
            answer = await resolve(NAME, address, LIMITS)
        assert answer.addresses == ("127.0.0.11",)
        assert not answer.complete  # so nobody is drained for not being in it


async def test_nobody_there_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    async with NameServer() as server:
        address = server.address
    with pytest.raises(UnreachableError):
        await resolve(NAME, address, LIMITS)


async def test_a_machine_without_a_resolver_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any, **__: Any) -> Any:
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(dns.asyncresolver, "Resolver", none)
    with pytest.raises(UnreachableError, match="no resolver configured"):
        await resolve(NAME, None, LIMITS)


async def test_a_cancellation_that_the_library_swallows_counts_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As `asyncio.wait_for` does before Python 3.12 when the answer comes in the same turn of the loop."""
    asked = asyncio.Event()

    class Swallows:
        async def resolve(self, *_: object, **__: object) -> object:
            asked.set()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
            raise dns.resolver.NoAnswer

    monkeypatch.setattr(module, "_resolver", lambda *_: Swallows())
    asking = asyncio.create_task(resolve("tunnel.test", ("127.0.0.1", 53), LIMITS))
    await asked.wait()
    asking.cancel()
    async with asyncio.timeout(20):
        with pytest.raises(asyncio.CancelledError):
            await asking
