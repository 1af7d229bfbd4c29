"""A whole fleet from outside: what listens, what a visitor is told, and rolling restarts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.localfleet import outside, provision, rolling
from tests.localfleet.fleet import LocalFleet, neighbours


def _quietly(_text: str) -> None: ...


@pytest.mark.integration
@pytest.mark.timeout(300)
async def test_what_a_fleet_shows_and_that_no_restart_fails_a_new_connection(tmp_path: Path) -> None:
    made = await provision.provision(tmp_path, provision.free_ports(), _quietly, _quietly)
    async with neighbours(made) as fleet:
        await fleet.start()
        _no_socket_listens_but_the_documented(fleet)
        await _a_visitor_learns_nothing_of_the_clients(fleet)
        rounds: tuple[list[str], ...] = ([*fleet.servers][:2], [*fleet.clients])
        for names in rounds:
            met, drains = await rolling.roll(fleet, names)
            assert met.failures == []
            assert met.answered > 10
            assert len(drains) == 2


def _no_socket_listens_but_the_documented(fleet: LocalFleet) -> None:
    """The table of ports in docs/operations.md; a client has its own admin listener and nothing else."""
    ports = fleet.made.ports
    for name, member in fleet.members.items():
        wanted = {("tcp", *_socket(fleet.made.up.admin(name)))}
        if name in fleet.servers:
            wanted |= {
                ("tcp", fleet.servers[name], port) for port in (ports.visitors, ports.sessions, ports.data)
            }
        assert outside.listening(member) == wanted, name


def _socket(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


async def _a_visitor_learns_nothing_of_the_clients(fleet: LocalFleet) -> None:
    """Whatever the servers say by themselves is the same with two clients and with one."""
    port = fleet.made.ports.visitors
    both = {name: await outside.seen(address, port) for name, address in fleet.servers.items()}
    gone = fleet.clients[1]
    await fleet.members[gone].terminate(rolling.DRAIN_S)
    for name in fleet.servers:
        await fleet.members[name].wait_for(
            lambda status: len(status["sessions"]) == 1, rolling.DRAIN_S, "one session"
        )
    one = {name: await outside.seen(address, port) for name, address in fleet.servers.items()}
    assert one == both
    assert all(told["/readyz"].endswith(b"ready\n") for told in both.values())
    for client in fleet.clients:
        assert not any(client.encode() in said for told in both.values() for said in told.values())
    await fleet.members[gone].start()
    await fleet.whole()
