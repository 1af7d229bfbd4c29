"""A tunnel server with its real worker: whom it serves, whom it sends away, and that each is alone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from runtime.channel import session as channel
from runtime.channel import transport
from runtime.channel.messages import Kind, Message
from runtime.crowd import Crowd
from runtime.documents import strict_json
from runtime.errors import PeerError, TunnelError
from runtime.limits import Limits
from runtime.tunnel import workers as workers_module
from runtime.tunnel.server import TunnelServer
from runtime.tunnel.session_messages import (
    Answer,
    AttestAgain,
    ControlMessage,
    DataPlan,
    Goaway,
    Offer,
    Ping,
    Pong,
    Serving,
    encode,
)
from tests.channel import parties
from tests.fakes.amd import FakeAmd
from tests.tunnel.rig import until
from tests.tunnel.small_fleet import HOSTNAMES, SmallFleet, hear, say

REFUSED = "session refused"


@pytest.fixture
def fleet(amd: FakeAmd) -> SmallFleet:
    return SmallFleet(amd)


@pytest.fixture
async def server(fleet: SmallFleet) -> AsyncGenerator[TunnelServer, None]:
    async with fleet.server() as running:
        yield running


def events(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, object]]:
    return [dict(record.__dict__["fields"]) for record in caplog.records if record.message == event]


async def over(session: channel.Session) -> str:
    """Wait for the end of a session, and say how it came."""
    try:
        while True:
            await hear(session)
    except PeerError as error:
        return error.code


async def test_a_member_gets_the_plan_and_what_the_document_grants(
    fleet: SmallFleet, server: TunnelServer
) -> None:
    session = await fleet.dial()
    plan = await hear(session)
    assert isinstance(plan, DataPlan)
    assert plan.certificate_sha256 == server._data_key.certificate_sha256.hex()
    assert len(plan.ports) == 1
    await say(session, Offer(hostnames=("app.test", "mallory.test", "a.shop.test", "a.b.shop.test")))
    assert await hear(session) == Answer(
        n=1, granted=("app.test", "a.shop.test"), not_granted=("mallory.test", "a.b.shop.test")
    )
    await say(session, Ping(n=7))
    assert await hear(session) == Pong(n=7)
    [live] = server.sessions()
    assert (live.session.peer.member, live.granted) == ("client-1", ("app.test", "a.shop.test"))
    assert live.session.join_secret == session.join_secret
    assert not server.is_ready()  # granted, but no data connection yet
    session.transport.close()
    await until(lambda: not server.sessions())


async def test_a_later_offer_replaces_the_earlier(fleet: SmallFleet, server: TunnelServer) -> None:
    async with fleet.session() as session:
        for n, offered in enumerate((("app.test",), ("a.shop.test",), ()), 1):
            await say(session, Offer(hostnames=offered))
            assert await hear(session) == Answer(n=n, granted=offered, not_granted=())
            assert server.sessions()[0].granted == offered


async def test_grants_follow_the_document_in_force(fleet: SmallFleet, server: TunnelServer) -> None:
    async with fleet.session() as session:
        fleet.documents.payload = fleet.payload({**HOSTNAMES, "client-1": ("new.test",)}, version=2)
        server.document_changed()
        assert await hear(session) == AttestAgain(reason="document")
        await say(session, Offer(hostnames=("app.test", "new.test")))
        assert await hear(session) == Answer(n=1, granted=("new.test",), not_granted=("app.test",))


async def test_the_newer_session_of_a_member_displaces_the_older_and_no_one_elses(
    fleet: SmallFleet, server: TunnelServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with (
        fleet.session("client-1") as first,
        fleet.session("client-2") as other,
        fleet.session("client-1") as second,
    ):
        assert await over(first) == "closed"
        assert {live.session.id for live in server.sessions()} == {other.id, second.id}
        await say(second, Ping(n=1))
        assert await hear(second) == Pong(n=1)
        await say(other, Ping(n=2))
        assert await hear(other) == Pong(n=2)
    assert next(iter(events(caplog, "session ended")))["reason"] == "displaced"


async def test_a_document_that_drops_a_member_ends_its_session_and_no_one_elses(
    fleet: SmallFleet, server: TunnelServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with fleet.session("client-1") as dropped, fleet.session("client-2") as stays:
        without = {name: hostnames for name, hostnames in HOSTNAMES.items() if name != "client-1"}
        fleet.documents.payload = fleet.payload(without, version=2)
        server.document_changed()
        assert await over(dropped) == "closed"
        assert await hear(stays) == AttestAgain(reason="document")
        await say(stays, Ping(n=1))
        assert await hear(stays) == Pong(n=1)
        assert [live.session.peer.member for live in server.sessions()] == ["client-2"]
        with pytest.raises(TunnelError, match="evidence_refused"):
            await fleet.dial("client-1")
    assert "not_a_member" in [end["reason"] for end in events(caplog, "session ended")]


@pytest.mark.parametrize("change", ["settings", "instance"])
async def test_a_member_listed_as_something_else_now_is_not_the_same_member(
    fleet: SmallFleet, server: TunnelServer, change: str
) -> None:
    async with fleet.session("client-1") as session:
        text = fleet.payload(version=2).decode()
        if change == "settings":
            text = text.replace(fleet.party("client-1").settings_digest.hex(), "ab" * 32)
        else:
            text = text.replace(fleet.amd.chip("client-1").chip_id.hex(), "cd" * 64)
        fleet.documents.payload = text.encode()
        server.document_changed()
        assert await over(session) == "closed"


OUT_OF_TURN: list[ControlMessage] = [
    Pong(n=1),
    Answer(n=1, granted=(), not_granted=()),
    Serving(n=1),  # of an answer that was never given
    DataPlan(certificate_sha256="ab" * 32, ports=(1,), ping_ms=5000),
]
NOT_JSON = [
    b"",
    b"[]",
    b"{",
    b'{"kind":"ping"}',
    b'{"kind":"ping","n":1,"n":1}',
    b"\xff",
    b"{}" * 2,
    b"[" * 60_000,
]


BAD = [
    *[Message(Kind.CONTROL, strict_json.canonical(encode(message))) for message in OUT_OF_TURN],
    *[Message(Kind.CONTROL, raw) for raw in NOT_JSON],
    *[Message(kind, b"x" * 32) for kind in (Kind.HELLO, Kind.EVIDENCE, Kind.CONFIRM)],
]


async def test_a_message_out_of_turn_closes_that_session_alone(
    fleet: SmallFleet, server: TunnelServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with fleet.session("client-2") as good:
        for n, message in enumerate(BAD):
            async with fleet.session("client-1") as bad:
                await bad.transport.send(message)
                assert await over(bad) in {"closed", "malformed", "out_of_turn"}, message
            await say(good, Ping(n=n))
            assert await hear(good) == Pong(n=n)
        [live] = server.sessions()
        assert live.session.id == good.id
    assert "fault of ours" not in caplog.text


async def test_a_client_that_says_goodbye_gets_nothing_new(fleet: SmallFleet, server: TunnelServer) -> None:
    async with fleet.session() as session:
        await say(session, Offer(hostnames=("app.test",)))
        await hear(session)
        await say(session, Goaway(reason="draining", retry_after_s=0, deadline_ms=0))
        await until(lambda: server.sessions()[0].granted == ())
        fleet.documents.payload = fleet.payload(version=2)
        server.document_changed()
        assert await hear(session, 20) == AttestAgain(reason="document")  # and no answer before it
        await say(session, Offer(hostnames=("app.test",)))  # its routes change while it drains
        assert await hear(session, 20) == Answer(n=2, granted=(), not_granted=())
        assert server.sessions()[0].granted == ()


async def test_silence_ends_a_session(
    fleet: SmallFleet, server: TunnelServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(server, "_limits", replace(server._limits, ping_s=0.1, silent_s=0.3))
    async with fleet.session("client-1") as silent, fleet.session("client-2") as talks:
        for n in range(5):
            await asyncio.sleep(0.1)
            await say(talks, Ping(n=n))
            assert await hear(talks) == Pong(n=n)
        assert await over(silent) == "closed"
    assert events(caplog, "session ended")[0]["reason"] == "silent"


# -- strangers ----------------------------------------------------------------------------------------


async def test_refused_evidence_is_counted_and_logged_once_and_the_peer_learns_the_code_alone(
    fleet: SmallFleet, server: TunnelServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A genuine chip with another image: everything is said in our log, one code to the peer."""
    attester = parties.attester(fleet.amd, "another machine", fleet.party("client-1").settings_digest)
    with pytest.raises(PeerError) as caught:
        await fleet.dial("client-1", attester=attester)
    assert (caught.value.code, caught.value.remote) == ("evidence_refused", True)
    assert "chip" not in str(caught.value)
    await until(lambda: server.refused == {"evidence_refused": 1})
    [said] = events(caplog, REFUSED)
    assert (said["code"], said["peer"]) == ("evidence_refused", "127.0.0.1")
    assert "chip_id" in str(said["detail"])
    assert not server.sessions()


async def test_what_is_no_tunnel_client_is_turned_away_and_counted(
    fleet: SmallFleet, server: TunnelServer, caplog: pytest.LogCaptureFixture
) -> None:
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"", bytes(5000)):
        reader, writer = await asyncio.open_connection("127.0.0.1", fleet.sessions_port)
        writer.write(data)
        writer.write_eof()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
    await until(lambda: sum(server.refused.values()) == 3)
    assert set(server.refused) <= {"tls", "closed"}
    assert len(events(caplog, REFUSED)) == 3
    assert "fault of ours" not in caplog.text
    async with fleet.session():
        assert len(server.sessions()) == 1


async def test_a_stranger_who_connects_and_waits_is_cut_off(
    fleet: SmallFleet, server: TunnelServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """At each place where a peer can stop: before TLS, and after it before its hello."""
    hasty = replace(server._party.limits, session_tls_s=0.2, message_s=0.2)
    monkeypatch.setattr(server, "_party", replace(server._party, limits=hasty))
    reader, writer = await asyncio.open_connection("127.0.0.1", fleet.sessions_port)
    async with asyncio.timeout(20):
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
    writer.close()
    wire = await transport.connect("127.0.0.1", fleet.sessions_port, fleet.party("client-1").key, Limits())
    async with asyncio.timeout(20):
        assert await wire.receive() == Message(Kind.REFUSED, b"timeout")
        await wire.closed
    assert server.refused == {"session_tls_deadline": 1, "message_deadline": 1}
    assert "fault of ours" not in caplog.text


async def test_a_flood_of_strangers_is_bounded_and_members_come_back_after_it(
    fleet: SmallFleet, server: TunnelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_unconfirmed", Crowd(most=5, most_per_place=5))
    async with fleet.session("client-2") as member:
        flood = [await asyncio.open_connection("127.0.0.1", fleet.sessions_port) for _ in range(9)]
        await until(lambda: server.refused.get("unconfirmed_displaced", 0) == 4)
        assert len(server._unconfirmed) == 5
        async with fleet.session("client-1"):  # the oldest stranger makes room: the flood locks nobody out
            assert len(server.sessions()) == 2
        await say(member, Ping(n=1))  # who is in does not notice
        assert await hear(member) == Pong(n=1)
        for _, writer in flood:
            writer.close()
        await until(lambda: not server._unconfirmed)
        async with fleet.session("client-1"):
            assert len(server.sessions()) == 2


# -- life ---------------------------------------------------------------------------------------------


async def test_draining_tells_clients_takes_nobody_new_and_ends_by_itself(fleet: SmallFleet) -> None:
    server, ready = fleet.make_server(), asyncio.Event()
    running = asyncio.create_task(server.run("/nonexistent", ready))
    await ready.wait()
    async with fleet.session() as session:
        server._draining = True  # without a stream to wait for, the drain itself is over at once
        with pytest.raises(PeerError, match="closed"):
            await fleet.dial("client-2")
        await server.drain()
        goaway = await hear(session)
        assert isinstance(goaway, Goaway)
        async with asyncio.timeout(20):
            await asyncio.wait({running})
        assert running.cancelled()
        assert await over(session) == "closed"


async def test_workers_that_keep_dying_end_the_server_loudly(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, ready = fleet.make_server(), asyncio.Event()
    running = asyncio.create_task(server.run("/nonexistent", ready))
    await ready.wait()
    monkeypatch.setattr(workers_module, "MAX_DEATHS", 0)
    os.kill(server.workers._workers[0].process.pid, signal.SIGKILL)
    async with asyncio.timeout(20):
        with pytest.raises(BaseExceptionGroup) as caught:
            await running
    assert caught.group_contains(TunnelError, match="relay worker 0 died")


async def test_a_sessions_port_that_is_taken_leaves_no_worker_behind(fleet: SmallFleet) -> None:
    server = fleet.make_server()
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", fleet.sessions_port)
    async with taken:
        with pytest.raises(BaseExceptionGroup) as caught:
            await server.run("/nonexistent", asyncio.Event())
    assert caught.group_contains(OSError)
    [worker] = server.workers._workers
    assert worker.process.returncode is not None  # it was waited for


async def test_a_hostname_that_no_worker_could_route_ends_that_session_alone(
    fleet: SmallFleet, server: TunnelServer
) -> None:
    """client-1 is granted *.shop.test; it offers a name of that shape which is no hostname."""
    async with fleet.session("client-2") as good, fleet.session("client-1") as bad:
        await bad.send({"kind": "offer", "hostnames": ["!.shop.test"]})
        assert await over(bad) in {"closed", "malformed"}
        await say(good, Ping(n=7))
        assert await hear(good) == Pong(n=7)
    assert not server.workers.died.done()
