"""One address, for ever: whatever a server does or does not do, the supervisor notes it and dials again."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from dataclasses import replace
from typing import Any

import pytest

from runtime.attestation.wire import Evidence
from runtime.channel import session as channel
from runtime.channel.boot_key import BootKey
from runtime.tunnel.frames import ResetCode
from runtime.tunnel.joined import Joined
from runtime.tunnel.live_session import LiveSession
from runtime.tunnel.session_messages import (
    Answer,
    DataPlan,
    DocumentAsk,
    DocumentPart,
    Goaway,
    Offer,
    Ping,
    Pong,
    Serving,
)
from runtime.tunnel.supervisor import Supervisor
from tests.fakes.amd import FakeAmd
from tests.fakes.fleets import NOW
from tests.tunnel.rig import until
from tests.tunnel.small_fleet import LIMITS, ROUTES, SmallFleet, hear, say, supervised


@pytest.fixture
def fleet(amd: FakeAmd) -> SmallFleet:
    return SmallFleet(amd)


def instead_of_talking(monkeypatch: pytest.MonkeyPatch, *messages: Any) -> None:
    """The server sends these after its plan, and then nothing: no answer, no pong."""

    async def talk(live: LiveSession) -> None:
        for message in messages:
            await say(live.session, message)
        await asyncio.Event().wait()

    monkeypatch.setattr(LiveSession, "_talk", talk)


def granted(supervisor: Supervisor) -> bool:
    return supervisor.status.state == "established" and supervisor.status.granted == ("app.test",)


async def test_pings_that_nobody_answers_end_the_session(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasty = replace(LIMITS, ping_s=0.05, silent_s=0.5)
    async with fleet.server() as server, supervised(fleet, limits=hasty) as supervisor:
        await until(lambda: granted(supervisor))
        await asyncio.sleep(0.5)
        assert granted(supervisor)  # answered pings keep it
        assert supervisor.status.failures == {}
        instead_of_talking(monkeypatch)
        server.sessions()[0].session.transport.abort()  # the next one meets a server that is silent
        await until(lambda: supervisor.status.failures.get("silent", 0) >= 1)
        await until(lambda: supervisor.status.sessions >= 3)  # and it was dialled again


async def test_a_client_pings_as_often_as_its_server_wants_to_hear_it(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its own settings it would say nothing for 100 s, and the server's patience is 0.3 s."""
    heard: list[Any] = []

    async def talk(live: LiveSession) -> None:
        while True:
            heard.append(await hear(live.session))

    monkeypatch.setattr(LiveSession, "_talk", talk)
    fleet.limits = replace(LIMITS, ping_s=0.2, silent_s=0.3)
    slow = replace(LIMITS, ping_s=100.0, silent_s=300.0)
    async with fleet.server(), supervised(fleet, limits=slow):
        await until(lambda: sum(isinstance(message, Ping) for message in heard) >= 3)


@pytest.mark.parametrize(
    "message",
    [
        Offer(hostnames=("app.test",)),
        Ping(n=1),
        DataPlan(certificate_sha256="ab" * 32, ports=(1,), ping_ms=5000),
    ],
    ids=lambda message: type(message).__name__,
)
async def test_what_is_not_a_servers_to_send_ends_the_session(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch, message: Any
) -> None:
    instead_of_talking(monkeypatch, message)
    async with fleet.server(), supervised(fleet) as supervisor:
        await until(lambda: supervisor.status.failures.get("out_of_turn", 0) >= 2)


async def test_an_answer_is_in_force_before_the_client_says_so(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server sends visitors when it hears that: not one may be turned away for having come too early."""
    found: list[Any] = []

    async def talk(live: LiveSession) -> None:
        assert await hear(live.session) == Offer(hostnames=("app.test",))
        assert supervisor._table.find("app.test") is ResetCode.NOT_GRANTED
        await say(live.session, Answer(n=7, granted=("app.test",), not_granted=()))
        found.append(await hear(live.session))
        found.append(supervisor._table.find("app.test"))
        await asyncio.Event().wait()

    monkeypatch.setattr(LiveSession, "_talk", talk)
    async with fleet.server(), supervised(fleet) as supervisor:
        await until(lambda: len(found) == 2, 20)
    assert found == [Serving(n=7), ROUTES["app.test"]]


async def test_an_answer_has_the_last_word(fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    instead_of_talking(monkeypatch, Answer(n=1, granted=(), not_granted=("app.test",)))
    async with fleet.server(), supervised(fleet) as supervisor:
        await until(lambda: supervisor.status.not_granted == ("app.test",))
        assert supervisor._table.find("app.test") is ResetCode.NOT_GRANTED


async def test_an_answer_that_was_overtaken_is_not_put_in_force(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that waits to write may send two in the wrong order; the list of the newer one stays."""
    heard: list[Any] = []
    found: list[Any] = []

    async def talk(live: LiveSession) -> None:
        for message in (
            Answer(n=2, granted=(), not_granted=("app.test",)),
            Answer(n=1, granted=("app.test",), not_granted=()),
            DocumentAsk(version=1, offset=0),
        ):
            await say(live.session, message)
        while not heard or not isinstance(heard[-1], DocumentPart):  # it has read all three
            heard.append(await hear(live.session, 20))
        found.append(supervisor._table.find("app.test"))
        await asyncio.Event().wait()

    monkeypatch.setattr(LiveSession, "_talk", talk)
    async with fleet.server(), supervised(fleet) as supervisor:
        await until(lambda: bool(found), 20)
    assert [message for message in heard if isinstance(message, Serving)] == [Serving(n=2)]
    assert found == [ResetCode.NOT_GRANTED]


async def test_a_server_cannot_grant_what_was_not_offered(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    instead_of_talking(monkeypatch, Answer(n=1, granted=("bank.test", "app.test"), not_granted=()))
    async with fleet.server(), supervised(fleet) as supervisor:
        await until(lambda: granted(supervisor))


async def test_a_goaway_is_shown_and_the_session_stays_until_its_end(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    instead_of_talking(monkeypatch, Pong(n=1), Goaway(reason="draining", retry_after_s=1, deadline_ms=0))
    async with fleet.server() as server, supervised(fleet) as supervisor:
        await until(lambda: supervisor.status.state == "draining")
        assert supervisor.status.connections == 1
        assert supervisor.status.failures == {}
        server.sessions()[0].session.transport.close()
        await until(lambda: supervisor.status.failures.get("closed", 0) == 1)


async def test_a_server_that_names_a_pause_gets_it_within_the_cap(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that drains wants nobody back within the second; one that asks for a year gets the cap."""
    instead_of_talking(monkeypatch, Goaway(reason="draining", retry_after_s=2**31, deadline_ms=0))
    async with fleet.server() as server, supervised(fleet, cap_s=1.0) as supervisor:
        await until(lambda: supervisor.status.state == "draining", 20)
        server.sessions()[0].session.transport.close()
        await until(lambda: supervisor.status.state == "waiting", 20)
        ended = time.monotonic()
        await until(lambda: supervisor.status.state == "draining", 20)
        assert time.monotonic() - ended >= 1.0


async def test_data_connections_go_only_to_the_certificate_that_the_session_named(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody else listens on the data port: the client sends it nothing, and offers nothing."""
    caplog.set_level(logging.INFO)
    async with fleet.server() as server:
        monkeypatch.setattr(server, "_data_key", BootKey.create("mallory", NOW))
        async with supervised(fleet) as supervisor:
            await until(lambda: sum(supervisor.status.failures.values()) >= 2)
            assert supervisor.status.sessions == 0
            assert supervisor.status.connections == 0
            assert all(live.granted == () for live in server.sessions())
            assert "certificate" in supervisor.status.last_error
            assert server.workers.counters() == [] or server.workers.counters()[0][1].received == {}


async def test_a_server_that_is_not_there_is_dialled_again_after_a_pause_that_hurry_skips(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "uniform", lambda _, most: most)
    async with supervised(fleet, cap_s=60) as supervisor:
        for n in range(1, 8):
            await until(lambda n=n: supervisor.status.failures.get("unreachable") == n)  # type: ignore[misc]  # bound default
            await until(lambda: supervisor.status.state == "waiting")
            await asyncio.sleep(0.02)
            assert supervisor.status.failures == {"unreachable": n}
            supervisor.hurry()


async def test_pauses_grow_to_the_cap_and_no_further(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    most: list[float] = []

    def record(_: float, upper: float) -> float:
        most.append(upper)
        return 0.0

    monkeypatch.setattr(random, "uniform", record)
    async with supervised(fleet, cap_s=6.0):
        await until(lambda: len(most) >= 40)
    assert most[:6] == [1.0, 2.0, 4.0, 6.0, 6.0, 6.0]
    assert max(most) == 6.0


async def test_a_fault_of_our_own_is_noted_and_ends_nothing(
    fleet: SmallFleet, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def available(self) -> bool:
            return True

        async def collect(self, report_data: bytes) -> Evidence:
            raise RuntimeError(f"no TEE for {len(report_data)} bytes")

    async with fleet.server() as server, supervised(fleet, attester=Broken()) as supervisor:
        await until(lambda: supervisor.status.failures.get("internal", 0) >= 2)
        assert not server.sessions()
    assert "a session ended by a fault of ours" in caplog.text


async def test_draining_lets_go_and_says_goodbye(fleet: SmallFleet) -> None:
    async with fleet.server() as server, supervised(fleet) as supervisor:
        await until(lambda: granted(supervisor))
        await supervisor.drain()
        assert supervisor.status.state == "draining"
        await until(lambda: server.sessions()[0].granted == ())
    never = Supervisor(
        address="127.0.0.1",
        port=9,
        party=fleet.party("client-1"),
        limits=LIMITS,
        pause_cap_s=1,
        routes=ROUTES,
        status=dict,
        access=None,
    )
    await never.drain()  # nothing to let go of
    never.document_changed()
    await never.set_routes({})


async def test_a_document_that_arrives_while_data_connections_are_joined_is_not_forgotten(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client alone hears of it: it attests again though no server asks."""
    genuine, joins, ours = Joined.open, 0, list[Supervisor]()

    async def join(joined: Joined) -> None:
        nonlocal joins
        joins += 1
        if joins == 1:
            fleet.documents.payload = fleet.payload(version=2)
            ours[0].document_changed()
        await genuine(joined)

    monkeypatch.setattr(Joined, "open", join)
    async with fleet.server() as server, supervised(fleet) as supervisor:
        ours.append(supervisor)
        await until(lambda: [live.session.epoch for live in server.sessions()] == [1])


async def test_a_document_that_arrives_during_the_handshake_is_not_forgotten(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine, met = channel.establish, 0

    async def establish(*args: Any) -> Any:
        nonlocal met
        met += 1
        session = await genuine(*args)
        if met == 1:
            fleet.documents.payload = fleet.payload(version=2)
        return session

    monkeypatch.setattr(channel, "establish", establish)
    async with fleet.server() as server, supervised(fleet):
        await until(lambda: [live.session.epoch for live in server.sessions()] == [1])


async def test_without_a_new_document_nobody_attests_again(fleet: SmallFleet) -> None:
    async with fleet.server() as server, supervised(fleet) as supervisor:
        await until(lambda: granted(supervisor))
        assert not supervisor._again.is_set()
        assert [live.session.epoch for live in server.sessions()] == [0]
