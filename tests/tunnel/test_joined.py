"""A lost data connection is joined again while the session lasts; a worker that takes none ends it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from types import SimpleNamespace
from typing import Any, cast

import pytest

from runtime.channel.session import Session
from runtime.errors import PeerError, UnreachableError
from runtime.tunnel import data, joined
from runtime.tunnel.data import Carried, JoinTicket, OriginTable
from runtime.tunnel.joined import Joined
from runtime.tunnel.session_messages import DataPlan
from runtime.tunnel.status import Status
from runtime.tunnel.supervisor import Supervisor
from tests.fakes.amd import FakeAmd
from tests.tunnel.rig import until
from tests.tunnel.small_fleet import LIMITS, SmallFleet, supervised

REFUSED = PeerError("join_refused", "not this epoch")


class Connection:
    """Stands for a joined data connection."""

    def __init__(self, opened: int = 0) -> None:
        self.closed: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.carried, self.streams = Carried(opened=opened), opened
        self.ended: list[str] = []

    def abort(self) -> None:
        self.ended.append("abort")

    def farewell(self) -> None:
        self.ended.append("farewell")

    async def drain(self, seconds: float) -> None:
        self.ended.append(f"drain {seconds:g}")


class Desk:
    """Answers what is dialled, in order: a connection, or an error."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, *answers: Connection | Exception, ports: int = 1
    ) -> None:
        self.answers, self.tickets = list(answers), list[JoinTicket]()
        self.addresses: list[tuple[str, int]] = []
        monkeypatch.setattr(data, "connect", self.connect)
        monkeypatch.setattr(joined, "JOIN_PAUSE_S", 0.001)
        self.session = SimpleNamespace(
            id=b"s" * 16,
            epoch=0,
            join_secret=b"first",
            peer=SimpleNamespace(member="server-1", grade="T"),
            transport=SimpleNamespace(closed=asyncio.get_running_loop().create_future()),
        )
        self.status = Status(address="192.0.2.1")
        self.joined = Joined(
            session=cast("Session", self.session),
            plan=DataPlan(certificate_sha256="ab" * 32, ports=tuple(range(7001, 7001 + ports)), ping_ms=1000),
            origins=OriginTable({}, frozenset()),
            limits=dataclasses.replace(LIMITS, worker_start_s=0.05),
            status=self.status,
            access=None,
        )

    async def connect(self, address: tuple[str, int], *, ticket: JoinTicket, **_: Any) -> Any:
        self.tickets.append(ticket)
        self.addresses.append(address)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            self.session.epoch, self.session.join_secret = 1, b"second"  # the epoch goes on meanwhile
            raise answer
        return answer


async def test_every_worker_is_joined_once(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, Connection(2), Connection(3), ports=2)
    await desk.joined.open()
    assert desk.addresses == [("192.0.2.1", 7001), ("192.0.2.1", 7002)]
    assert [(ticket.worker, ticket.counter) for ticket in desk.tickets] == [(0, 1), (1, 1)]
    assert (desk.status.connections, desk.joined.streams, desk.joined.carried.opened) == (2, 5, 5)
    desk.joined.farewell()
    await desk.joined.drain()
    desk.joined.abort()
    for connection in cast("dict[int, Connection]", desk.joined.connections).values():
        assert connection.ended == ["farewell", f"drain {LIMITS.drain_s:g}", "abort"]
    assert desk.status.connections == 0


async def test_a_refusal_while_the_epoch_changes_is_tried_with_the_new_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk(monkeypatch, REFUSED, REFUSED, Connection())
    await desk.joined.open()
    said = [(ticket.counter, ticket.epoch, ticket.secret) for ticket in desk.tickets]
    assert said == [(1, 0, b"first"), (2, 1, b"second"), (3, 1, b"second")]


@pytest.mark.parametrize("error", [REFUSED, PeerError("pin_mismatch", "x"), UnreachableError("nobody")])
async def test_what_does_not_pass_ends_the_session(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    tries = joined.JOIN_TRIES if error is REFUSED else 1
    desk = Desk(monkeypatch, *[error] * 5)
    with pytest.raises(type(error)):
        await desk.joined.open()
    assert (len(desk.tickets), desk.status.connections) == (tries, 0)


async def test_what_is_lost_is_joined_again_and_its_bytes_count(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Connection(2), Connection(3)
    desk = Desk(monkeypatch, first, UnreachableError("starting"), PeerError("join_refused", "x"), second)
    await desk.joined.open()
    async with contextlib.AsyncExitStack() as stack:
        keeping = asyncio.create_task(desk.joined.keep(0))
        stack.callback(keeping.cancel)
        first.closed.set_result(None)
        await until(lambda: cast("Any", desk.joined.connections[0]) is second)
        assert (desk.status.connections, desk.joined.carried.opened, desk.joined.streams) == (1, 5, 3)


async def test_a_worker_that_takes_none_ends_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    first = Connection()
    desk = Desk(monkeypatch, first, *[UnreachableError("gone")] * 10_000)
    await desk.joined.open()
    first.closed.set_result(None)
    with pytest.raises(UnreachableError):
        await desk.joined.keep(0)
    assert desk.status.connections == 0


async def test_nothing_is_joined_again_while_the_server_drains(monkeypatch: pytest.MonkeyPatch) -> None:
    first = Connection()
    desk = Desk(monkeypatch, first)
    await desk.joined.open()
    desk.status.change("draining")
    keeping = asyncio.create_task(desk.joined.keep(0))
    first.closed.set_result(None)
    await until(lambda: desk.status.connections == 0)
    await asyncio.sleep(0)
    assert not keeping.done()
    desk.session.transport.closed.set_exception(PeerError("gone", "the session is over"))
    with pytest.raises(PeerError, match="the session is over"):
        await keeping
    assert len(desk.tickets) == 1


async def test_a_lost_data_connection_is_replaced_within_the_session(amd: FakeAmd) -> None:
    def connection(supervisor: Supervisor) -> data.DataConnection:
        assert supervisor._joined is not None
        return supervisor._joined.connections[0]

    fleet = SmallFleet(amd)
    async with fleet.server() as server, supervised(fleet) as supervisor:
        await until(lambda: supervisor.status.granted == ("app.test",) and server.is_ready())
        for _ in range(3):
            old = connection(supervisor)
            old.abort()
            await until(lambda old=old: connection(supervisor) is not old)  # type: ignore[misc]  # bound default
            await until(server.is_ready)
            assert supervisor.status.connections == 1
        assert supervisor.status.sessions == 1
        assert supervisor.status.failures == {}
