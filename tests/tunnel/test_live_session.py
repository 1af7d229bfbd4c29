"""A hostname that a client gains: visitors are sent to it once it serves the hostname, and no sooner."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from runtime.channel.session import Session
from runtime.errors import PeerError
from runtime.tunnel import client as client_module
from runtime.tunnel import data
from runtime.tunnel.client import TunnelClient
from runtime.tunnel.data import DataConnection, JoinTicket, Origin, OriginTable
from runtime.tunnel.live_session import LiveSession
from runtime.tunnel.routing import SessionId
from runtime.tunnel.server import TunnelServer
from runtime.tunnel.session_messages import (
    Answer,
    AttestAgain,
    ControlMessage,
    DataPlan,
    Offer,
    Ping,
    Pong,
    Serving,
)
from tests.fakes.amd import FakeAmd
from tests.localfleet.dns import NameServer
from tests.tunnel.rig import echo, until
from tests.tunnel.small_fleet import HOSTNAMES, LIMITS, SmallFleet, hear, is_served, say, visit
from tests.tunnel.test_client import at, ssl_of_the_origin

ONE = "127.0.0.1"
HOST = "app.test"


@pytest.fixture
def fleet(amd: FakeAmd, monkeypatch: pytest.MonkeyPatch) -> SmallFleet:
    """client-1 may publish another hostname at first; client-2 publishes app.test."""
    monkeypatch.setattr(client_module, "RETRY_DNS_S", 0.1)
    made = SmallFleet(amd)
    made.documents.payload = made.payload({**HOSTNAMES, "client-1": ("other.test",)})
    return made


@pytest.fixture
async def origin() -> AsyncGenerator[Origin, None]:
    server = await asyncio.start_server(echo, ONE, 0, ssl=ssl_of_the_origin())
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield Origin(kind="tls", host=ONE, port=port, ssl_context=None)


class ByHand:
    """client-1, which does what it is told to do when it is told."""

    def __init__(self, session: Session, connection: DataConnection, table: OriginTable) -> None:
        self.session, self.connection, self.table = session, connection, table

    async def hear(self, wanted: type[ControlMessage]) -> ControlMessage:
        """Return the next message of a kind; requests to attest again are left for later."""
        while True:
            message = await hear(self.session, 20)
            if isinstance(message, wanted):
                return message
            assert isinstance(message, AttestAgain), message


@contextlib.asynccontextmanager
async def by_hand(fleet: SmallFleet, origin: Origin) -> AsyncGenerator[ByHand, None]:
    """A session of client-1 with a data connection that serves nothing yet."""
    session = await fleet.dial("client-1")
    try:
        plan = await hear(session)
        assert isinstance(plan, DataPlan)
        table = OriginTable({HOST: origin}, frozenset())
        ticket = JoinTicket(
            session=SessionId(session.id),
            epoch=session.epoch,
            worker=0,
            counter=1,
            secret=session.join_secret,
            certificate_sha256=bytes.fromhex(plan.certificate_sha256),
        )
        connection = await data.connect(
            (ONE, plan.ports[0]), ticket=ticket, origins=table, limits=fleet.limits, deadline_s=20
        )
        try:
            yield ByHand(session, connection, table)
        finally:
            connection.abort()
    finally:
        session.transport.abort()
        await session.transport.closed


def live(server: TunnelServer, name: str) -> LiveSession:
    return next(one for one in server.sessions() if one.session.peer.member == name)


@contextlib.asynccontextmanager
async def other_client(
    fleet: SmallFleet, server: TunnelServer, origin: Origin
) -> AsyncGenerator[TunnelClient, None]:
    """client-2, which has served the hostname all along."""
    async with NameServer(at(ONE)) as dns, fleet.client(dns.address, {HOST: origin}, "client-2") as client:
        await until(server.is_ready, 20)
        yield client


async def test_until_a_client_serves_a_new_hostname_visitors_get_another(
    fleet: SmallFleet, origin: Origin
) -> None:
    async with (
        fleet.server() as server,
        other_client(fleet, server, origin),
        by_hand(fleet, origin) as late,
    ):
        assert await is_served(server, HOST)
        await say(late.session, Offer(hostnames=(HOST,)))
        answer = await late.hear(Answer)
        assert isinstance(answer, Answer)
        assert answer.not_granted == (HOST,)
        fleet.documents.payload = fleet.payload(version=2)  # now it may publish it
        server.document_changed()
        answer = await late.hear(Answer)
        assert isinstance(answer, Answer)
        assert answer.granted == (HOST,)
        # The answer is there and not yet in force: whoever comes now is not to be sent to this client.
        for _ in range(8):
            assert await is_served(server, HOST)
        assert late.connection.carried.opened == 0
        assert live(server, "client-1").routed == ()
        # It says that it is: from now on it gets its turn.
        late.table.set_granted(frozenset(answer.granted))
        await say(late.session, Serving(n=answer.n))
        await until(lambda: live(server, "client-1").routed == (HOST,), 20)
        async with asyncio.timeout(30):
            while not late.connection.carried.opened:
                assert await is_served(server, HOST)


async def test_nobody_is_let_in_for_a_client_that_does_not_serve_yet(
    fleet: SmallFleet, origin: Origin
) -> None:
    """The first hostname of all: the visitors' port opens when the client serves; nobody is turned away."""
    fleet.documents.payload = fleet.payload()
    async with fleet.server() as server, by_hand(fleet, origin) as late:
        await say(late.session, Offer(hostnames=(HOST,)))
        answer = await late.hear(Answer)
        assert isinstance(answer, Answer)
        assert answer.granted == (HOST,)
        assert not server.is_ready()
        with pytest.raises(ConnectionRefusedError):
            await visit(server, HOST, patience_s=0.5)
        late.table.set_granted(frozenset(answer.granted))
        await say(late.session, Serving(n=answer.n))
        assert await is_served(server, HOST)
        assert server.is_ready()


async def test_only_the_newest_answer_counts(fleet: SmallFleet, origin: Origin) -> None:
    """A client that has just lost a hostname and got it back serves it when it has read both answers."""
    fleet.documents.payload = fleet.payload()
    async with fleet.server() as server, by_hand(fleet, origin) as late:
        for offered in ((HOST,), (), (HOST,)):
            await say(late.session, Offer(hostnames=offered))
        answers = [await late.hear(Answer) for _ in range(3)]
        assert [answer.n for answer in answers if isinstance(answer, Answer)] == [1, 2, 3]
        for n in (1, 2):
            await say(late.session, Serving(n=n))
            await said(late.session)
            assert live(server, "client-1").routed == ()
        await say(late.session, Serving(n=3))
        await said(late.session)
        assert live(server, "client-1").routed == (HOST,)
        await say(late.session, Offer(hostnames=()))  # what is taken back stops without the client's word
        await late.hear(Answer)
        assert live(server, "client-1").routed == ()


async def said(session: Session) -> None:
    """Wait until the server has read what was said so far."""
    await say(session, Ping(n=9))
    while not isinstance(await hear(session, 20), Pong):
        pass


@pytest.mark.parametrize("n", [0, 2])
async def test_an_answer_that_was_never_sent_cannot_be_served(
    fleet: SmallFleet, origin: Origin, n: int
) -> None:
    fleet.documents.payload = fleet.payload()
    async with fleet.server() as server, by_hand(fleet, origin) as late:
        await say(late.session, Offer(hostnames=(HOST,)))
        await late.hear(Answer)
        await say(late.session, Serving(n=n))
        with pytest.raises(PeerError):
            await said(late.session)
        await until(lambda: not server.sessions(), 20)


async def test_a_client_that_does_not_attest_again_when_asked_is_let_go(amd: FakeAmd) -> None:
    """It pings and answers all else: nothing but `late_s` ends it."""
    fleet = SmallFleet(amd, limits=replace(LIMITS, late_s=0.4, silent_s=60.0))
    async with fleet.server() as server, fleet.session() as deaf:
        one = live(server, "client-1")
        fleet.documents.payload = fleet.payload(version=2)
        server.document_changed()
        pinged = 0

        async def ping() -> None:
            nonlocal pinged
            while True:
                await say(deaf, Ping(n=9))
                await deaf.receive()
                pinged += 1

        with pytest.raises(PeerError) as caught:
            async with asyncio.timeout(20):
                await ping()
        assert pinged > 1
        assert (caught.value.code, caught.value.remote) in {("timeout", True), ("closed", False)}
        await until(lambda: not server.sessions(), 20)
        assert one.ended_by == "attestation_late"
