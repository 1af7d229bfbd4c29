"""The visitors' port refuses while nobody can be served, and holds its address all the time."""

from __future__ import annotations

import asyncio
import socket
from typing import cast

import pytest

from runtime.errors import TunnelError, UnreachableError
from runtime.tunnel.doors import Doors, bind
from tests.tunnel.conftest import Run
from tests.tunnel.rig import Rig, echo, settle


def doors(failed: list[TunnelError]) -> Doors:
    return Doors(loop=asyncio.get_running_loop(), visitor=asyncio.Protocol, failed=failed.append)


async def answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


def test_a_worker_without_a_session_refuses_and_one_with_a_session_does_not(run: Run) -> None:
    async def main() -> None:
        async with Rig() as rig:
            assert not await answers(rig.visitor_port)
            await rig.publish(echo, kind="http")
            assert await answers(rig.visitor_port)
            rig.end()
            await settle()
            assert not await answers(rig.visitor_port)

    run(main())


def test_it_opens_and_shuts_on_the_same_port_again_and_again(run: Run) -> None:
    async def main() -> None:
        failed: list[TunnelError] = []
        made = doors(failed)
        [port] = made.bind([("127.0.0.1", 0)])
        for _ in range(3):
            assert not await answers(port)
            made.set_open(True)
            await settle()
            assert await answers(port)
            made.set_open(False)
            await settle()
        made.close()
        assert failed == []

    run(main())


def test_a_change_of_mind_before_it_moved_ends_in_the_last_wish(run: Run) -> None:
    async def main() -> None:
        made = doors([])
        [port] = made.bind([("127.0.0.1", 0)])
        for wanted in (True, False, True):
            made.set_open(wanted)
        await settle()
        assert await answers(port)
        for wanted in (False, True, False):
            made.set_open(wanted)
        await settle()
        assert not await answers(port)
        made.close()

    run(main())


def test_closed_while_opening_it_stays_closed(run: Run) -> None:
    async def main() -> None:
        made = doors([])
        [port] = made.bind([("127.0.0.1", 0)])
        made.set_open(True)
        made.close()
        made.set_open(True)
        await settle()
        assert not await answers(port)

    run(main())


def test_the_port_is_held_while_it_is_shut(run: Run) -> None:
    async def main() -> None:
        made = doors([])
        [port] = made.bind([("127.0.0.1", 0)])
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))
        made.close()

    run(main())


def test_a_taken_address_is_said_at_once_and_when_it_is_lost_later(run: Run) -> None:
    async def main() -> None:
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            with pytest.raises(UnreachableError, match="cannot listen"):
                doors([]).bind([("127.0.0.1", holder.getsockname()[1])])
        failed: list[TunnelError] = []
        made = doors(failed)
        [port] = made.bind([("127.0.0.1", 0)])
        made.set_open(True)
        await settle()
        made._addresses = [("192.0.2.1", port)]  # an address that this machine does not have any more
        made.set_open(False)
        await settle()
        assert [error.code for error in failed] == ["unreachable"]
        made.close()

    run(main())


def test_ipv6_is_ipv6_alone() -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    with bind(("::1", 0), shared=False) as sock:
        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


def test_no_frame_waits_for_a_delayed_acknowledgement(run: Run) -> None:
    """TCP_NODELAY at both ends of a data connection: loops set it only where they see the protocol."""

    async def main() -> None:
        async with Rig() as rig:
            await rig.publish(echo, kind="http")
            transports = [rig.connections[0].mux._transport]
            board = rig.worker._board
            assert board is not None
            transports += [mux._transport for served in board._sessions.values() for mux in served.muxes]
            assert len(transports) == 2
            for transport in transports:
                assert transport is not None
                sock = transport.get_extra_info("socket")
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    run(main())


def test_draining_lets_in_whoever_stands_at_the_door_and_refuses_who_comes_later(run: Run) -> None:
    """Connections that the kernel has accepted and we have not: a listener that just closes resets them."""

    async def main() -> None:
        met: list[asyncio.BaseTransport] = []

        class Visitor(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                met.append(transport)

        failed: list[TunnelError] = []
        made = Doors(loop=asyncio.get_running_loop(), visitor=Visitor, failed=failed.append)
        [port] = made.bind([("127.0.0.1", 0)])
        made.set_open(True)
        async with asyncio.timeout(20):
            while not await answers(port):  # noqa: ASYNC110 - a test looks from outside
                await asyncio.sleep(0.01)
        before = len(met)
        waiting = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]  # the loop sees none yet
        await made.drain()
        assert len(met) - before >= 20
        assert not await answers(port)
        for sock in waiting:
            sock.settimeout(0)
            with pytest.raises(BlockingIOError):  # neither an end nor a reset
                sock.recv(1)
            sock.close()
        for transport in met:
            cast("asyncio.Transport", transport).abort()
        assert failed == []

    run(main())


def test_a_new_connection_during_the_drain_is_refused_not_reset(run: Run) -> None:
    async def main() -> None:
        made = doors([])
        [port] = made.bind([("127.0.0.1", 0)])
        made.set_open(True)
        async with asyncio.timeout(20):
            while not await answers(port):  # noqa: ASYNC110 - a test looks from outside
                await asyncio.sleep(0.01)
        draining = asyncio.ensure_future(made.drain())
        await asyncio.sleep(0)
        assert not await answers(port)
        await draining

    run(main())
