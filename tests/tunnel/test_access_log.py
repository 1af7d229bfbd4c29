"""The access log: one line at each end of a stream, with one id, and nothing that a visitor could choose."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncGenerator, Iterator
from functools import partial
from typing import Any

import pytest

from runtime.limits import Limits
from runtime.tunnel import access_log
from runtime.tunnel.access_log import AccessLog, known, new_request_id
from runtime.tunnel.frames import Endpoint, OpenRequest, ResetCode
from tests.tunnel.conftest import Run
from tests.tunnel.memory import Pair
from tests.tunnel.rig import HOST, Rig, client_hello, echo, until

VISITOR = Endpoint.of("203.0.113.9", 40000)
STREAM, AWAY = "stream", "turned away"


class Lines(logging.Handler):
    """What the access log says, as (event, fields)."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[tuple[str, dict[str, Any]]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append((record.getMessage(), record.__dict__["fields"]))

    def of(self, event: str) -> list[dict[str, Any]]:
        return [fields for said, fields in self.said if said == event]

    def are(self, count: int) -> bool:
        return len(self.of(STREAM)) == count

    def ends(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The server's line and the client's of the one stream there was."""
        server, client = sorted(self.of(STREAM), key=lambda fields: str(fields["peer"]))
        assert (server["peer"], client["peer"]) == ("client-a", "server-1")
        return server, client


@pytest.fixture
def lines() -> Iterator[Lines]:
    made, before = Lines(), access_log.log.level
    access_log.log.addHandler(made)
    access_log.log.setLevel(logging.INFO)
    yield made
    access_log.log.removeHandler(made)
    access_log.log.setLevel(before)


def request() -> OpenRequest:
    return OpenRequest(request_id=bytes(range(16)), hostname=HOST, visitor=VISITOR, server=VISITOR, first=b"")


@contextlib.asynccontextmanager
async def logged(setting: str = "streams", limits: Limits | None = None) -> AsyncGenerator[Rig]:
    """A worker and a client that both write the log."""
    async with Rig(limits, access_log=setting) as rig:
        clock = asyncio.get_running_loop().time
        client = AccessLog(addresses=False, clock=clock)
        rig.follow = partial(client.follow, peer="server-1", from_visitor="received")
        yield rig


# -- the line ---------------------------------------------------------------------------------------------


def test_none_is_no_log_at_all() -> None:
    assert access_log.of("none", lambda: 0.0) is None


def test_a_line_has_the_stream_from_both_sides_and_no_address(lines: Lines) -> None:
    now = [100.0]
    server = AccessLog(addresses=False, clock=lambda: now[0]).follow(request(), peer="c", from_visitor="sent")
    server.offered((b"h2", b"http/1.1"))
    client = AccessLog(addresses=False, clock=lambda: now[0])
    other = client.follow(request(), peer="s", from_visitor="received")
    other.agreed("h2")
    now[0] = 101.5
    server.over(sent=5, received=7, reason="done")
    other.over(sent=7, received=5, reason="done")
    alike = {
        "id": "000102030405060708090a0b0c0d0e0f",
        "hostname": HOST,
        "from_visitor_bytes": 5,
        "to_visitor_bytes": 7,
        "duration_s": 1.5,
        "reason": "done",
    }
    assert lines.of(STREAM) == [
        alike | {"peer": "c", "alpn": ["h2", "http/1.1"]},
        alike | {"peer": "s", "alpn": ["h2"]},
    ]


def test_an_address_is_written_only_where_the_setting_says_so(lines: Lines) -> None:
    for addresses in (False, True):
        log = AccessLog(addresses=addresses, clock=lambda: 0.0)
        log.follow(request(), peer="c", from_visitor="sent").over(sent=0, received=0, reason="done")
        log.turned_away("no_route", visitor=VISITOR, hostname="x.example", alpn=(b"h2",))
        log.turned_away("hello_deadline", visitor=VISITOR, hostname=None, alpn=())
    told = [fields.get("visitor") for _, fields in lines.said]
    assert told == [None] * 3 + ["203.0.113.9:40000"] * 3


def test_a_visitor_writes_nothing_of_its_own_into_the_log() -> None:
    assert known((b"h2", b'"}\n{"event":', b"\xff" * 200, b"h2", b"http/1.1")) == ["h2", "other", "http/1.1"]


def test_ids_are_drawn_and_never_alike() -> None:
    assert len({new_request_id() for _ in range(1000)}) == 1000
    assert len(new_request_id()) == 16


# -- a mux tells how its streams end -------------------------------------------------------------------------


class Told:
    """A `stream.Witness` that keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[tuple[int, int, str]] = []

    def over(self, *, sent: int, received: int, reason: str) -> None:
        self.said.append((sent, received, reason))


def test_bytes_are_right_however_often_credit_went_round() -> None:
    """Many times the credit in each direction, odd pieces, first bytes in OPEN."""
    pair = Pair()
    stream, _ = pair.open(b"first")
    stream.witness = told = Told()
    pair.run()
    client = pair.accepted[0].far
    assert client is not None
    client.witness = other = Told()
    up = down = 0
    for size in [1, 70_001, 131_072, 3] * 12:
        stream.write(bytes(size))
        client.write(bytes(size // 2))
        up, down = up + size, down + size // 2
        pair.run()
    stream.end()
    client.end()
    pair.run()
    assert told.said == [(up + 5, down, "done")]
    assert other.said == [(down, up + 5, "done")]


def test_each_end_is_told_once_and_by_its_code() -> None:
    pair = Pair()
    told: list[Told] = []
    for reason in ("own", "peer", "cut", "drain"):
        if reason == "drain":
            pair = Pair()
        stream, _ = pair.open()
        stream.witness = witness = Told()
        told.append(witness)
        pair.run()
        far = pair.accepted[-1].far
        assert far is not None
        if reason == "own":
            stream.reset(ResetCode.VISITOR_LOST)
        elif reason == "peer":
            far.reset(ResetCode.ORIGIN_UNREACHABLE)
        elif reason == "cut":
            pair.lose()
        else:
            far.witness = there = Told()
            pair.server.cut()
            assert pair.down.closed
            pair.client.data_received(pair.down.take())
            assert there.said == [(0, 0, "drained")]
        pair.run()
        stream.reset(ResetCode.IDLE)  # over already
    reasons = [witness.said[0][2] for witness in told]
    assert reasons == ["visitor_lost", "origin_unreachable", "connection_lost", "drained"]
    assert all(len(witness.said) == 1 for witness in told)


# -- a worker and a client, joined -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tls", "http"])
def test_both_ends_write_a_line_of_a_request_with_one_id(run: Run, lines: Lines, kind: str) -> None:
    async def main() -> None:
        async with logged() as rig:
            await rig.publish(echo, kind=kind)
            for _ in range(2):  # the same visitor, the same bytes: the id is another one
                reader, writer = await rig.visit()
                writer.write(b"x" * 50_000)
                await reader.readexactly(50_000)
                writer.write_eof() if writer.can_write_eof() else writer.close()
                await until(lambda: len(lines.of(STREAM)) % 2 == 0 and bool(lines.of(STREAM)))
            await until(lambda: len(lines.of(STREAM)) == 4)

    run(main())
    ids = [fields["id"] for fields in lines.of(STREAM)]
    assert len(set(ids)) == 2
    assert all(ids.count(each) == 2 and len(each) == 32 for each in ids)
    for fields in lines.of(STREAM):
        assert fields["hostname"] == HOST
        assert fields["reason"] == "done"
        assert 50_000 < fields["from_visitor_bytes"] < 60_000
        assert 50_000 < fields["to_visitor_bytes"] < 60_000
        assert 0 < fields["duration_s"] < 60
        assert "visitor" not in fields


def test_the_hello_of_a_visitor_chooses_no_id(run: Run, lines: Lines) -> None:
    """The very same bytes twice: random, session id and keys are the visitor's, the request id is not."""
    hello = client_hello(HOST)

    async def main() -> None:
        async with logged() as rig:
            await rig.publish(echo, kind="tls")
            for written in (2, 4):
                _, writer = await rig.raw()
                writer.write(hello)
                await writer.drain()
                await until(lambda: rig.counters().streams == 1)
                writer.transport.abort()
                await until(partial(lines.are, written))

    run(main())
    ids = {fields["id"] for fields in lines.of(STREAM)}
    assert len(ids) == 2
    assert not any(bytes.fromhex(each) in hello for each in ids)


def test_a_visitor_who_is_turned_away_has_a_line_with_the_code(run: Run, lines: Lines) -> None:
    async def main() -> None:
        async with logged("addresses") as rig:
            await rig.publish(echo, kind="tls")
            with pytest.raises(ssl.SSLError):
                await rig.visit("nobody.example")
            _, writer = await rig.raw()
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            await until(lambda: len(lines.of(AWAY)) == 2)

    run(main())
    unknown, plain = lines.of(AWAY)
    assert (unknown["reason"], unknown["hostname"]) == ("no_route", "nobody.example")
    assert unknown["visitor"].startswith("127.0.0.1:")
    assert plain["reason"] == "plain_http"
    assert "hostname" not in plain
    assert lines.of(STREAM) == []


def test_a_stream_that_the_client_refuses_has_the_code_on_both_lines(run: Run, lines: Lines) -> None:
    async def main() -> None:
        async with logged() as rig:
            await rig.publish(echo, kind="tls")
            rig.origins.set_granted(frozenset())
            with pytest.raises(ssl.SSLError):
                await rig.visit()
            await until(lambda: len(lines.of(STREAM)) == 2)

    run(main())
    assert [fields["reason"] for fields in lines.ends()] == ["not_granted"] * 2
    assert lines.of(AWAY) == []  # one line a visitor


@pytest.mark.parametrize("who", ["server", "client"])
def test_a_stream_cut_at_the_end_of_a_drain_says_so_at_both_ends(run: Run, lines: Lines, who: str) -> None:
    async def main() -> None:
        async with logged(limits=Limits(drain_s=0.4)) as rig:
            await rig.publish(echo, kind="tls")
            reader, writer = await rig.visit()
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            if who == "server":
                rig.drain(0.4)
            else:
                await rig.connections[0].drain(0.4)
            await until(lambda: len(lines.of(STREAM)) == 2)
            with contextlib.suppress(OSError):
                assert await reader.read() == b""

    run(main())
    assert [fields["reason"] for fields in lines.ends()] == ["drained"] * 2


def test_a_session_that_ends_says_so_at_both_ends(run: Run, lines: Lines) -> None:
    async def main() -> None:
        async with logged() as rig:
            await rig.publish(echo, kind="tls")
            reader, writer = await rig.visit()
            writer.write(b"hello")
            await reader.readexactly(5)
            rig.end()
            await until(lambda: len(lines.of(STREAM)) == 2)

    run(main())
    assert [fields["reason"] for fields in lines.ends()] == ["session_ended"] * 2


def test_a_client_knows_the_address_and_does_not_write_it(run: Run, lines: Lines) -> None:
    """OPEN has it, for the PROXY protocol; a client's setting has no word for it."""

    async def main() -> None:
        async with logged("addresses") as rig:
            await rig.publish(echo, kind="http")
            reader, writer = await rig.visit()
            writer.write(b"hello")
            await reader.readexactly(5)
            writer.close()
            await until(lambda: len(lines.of(STREAM)) == 2)

    run(main())
    server, client = lines.ends()
    assert server["visitor"].startswith("127.0.0.1:")
    assert "127.0.0.1" not in str(client)
    assert server["id"] == client["id"]


def test_without_the_setting_nothing_is_written(run: Run, lines: Lines) -> None:
    async def main() -> None:
        async with Rig() as rig:
            await rig.publish(echo, kind="http")
            reader, writer = await rig.visit()
            writer.write(b"hello")
            await reader.readexactly(5)
            writer.close()
            await until(lambda: rig.counters().streams == rig.counters().visitors == 0)
            with pytest.raises(ssl.SSLError):
                await rig.visit("nobody.example")

    run(main())
    assert lines.said == []
