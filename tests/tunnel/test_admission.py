"""Strangers on the data ports: bounded from the accept on, and on every address the same port."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket

import pytest

from runtime.limits import Limits
from runtime.tunnel import admission as module
from runtime.tunnel.data_tls import ALPN
from tests.tunnel.conftest import Run
from tests.tunnel.rig import Rig, echo, until, visitor_tls


async def silent(port: int, count: int, source: str) -> list[asyncio.StreamWriter]:
    """So many connections from one address that never begin their handshake."""
    opened = [await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0)) for _ in range(count)]
    return [writer for _, writer in opened]


async def is_closed(writer: asyncio.StreamWriter) -> bool:
    """Whether the other end has closed it, looked at from outside."""
    transport = writer.transport
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            while not transport.is_closing():  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.01)
    return transport.is_closing()


def test_a_flood_from_one_address_costs_that_address_alone(run: Run) -> None:
    async def main() -> None:
        async with Rig(Limits(max_unjoined=8, unjoined_per_address=4)) as rig:
            rig.session()
            quiet = await silent(rig.data_port, 2, "127.0.0.2")
            await until(lambda: len(rig.strangers()) == 2)
            flood = await silent(rig.data_port, 30, "127.0.0.3")
            await until(lambda: rig.counters().refused == {"unjoined_displaced": 26}, 20)
            assert len(rig.strangers()) == 6
            assert not any([await is_closed(writer) for writer in quiet])
            await rig.join()  # and a member from elsewhere is served at once
            for writer in quiet + flood:
                writer.transport.abort()
            await until(lambda: not rig.strangers(), 20)

    run(main())


def test_whoever_does_not_begin_its_handshake_is_closed_at_the_deadline(run: Run) -> None:
    async def main() -> None:
        async with Rig(Limits(join_s=0.3)) as rig:
            reader, writer = await asyncio.open_connection("127.0.0.1", rig.data_port)
            async with asyncio.timeout(20):
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""
            await until(lambda: sum(rig.counters().refused.values()) == 1, 20)
            assert set(rig.counters().refused) <= {"join_deadline", "join_tls"}
            writer.close()

    run(main())


def test_whoever_leaves_before_it_joins_is_counted_and_its_place_is_free(run: Run) -> None:
    async def main() -> None:
        async with Rig() as rig:
            context = visitor_tls()
            context.set_alpn_protocols([ALPN])
            _, writer = await asyncio.open_connection("127.0.0.1", rig.data_port, ssl=context)
            await until(lambda: len(rig.strangers()) == 1, 20)
            writer.close()
            await until(lambda: rig.counters().refused == {"join_lost": 1}, 20)
            assert not rig.strangers()

    run(main())


def test_data_connections_are_taken_on_every_address(run: Run) -> None:
    async def main() -> None:
        async with Rig(data_listen=(("127.0.0.1", 0), ("127.0.0.5", 0), ("::1", 0))) as rig:
            await rig.publish(echo, kind="tls")
            for counter, address in enumerate(("127.0.0.5", "::1"), 2):
                connection = await rig.join(counter, address=address)
                assert not connection.closed.done()

    run(main())


def test_without_a_descriptor_the_port_pauses_and_goes_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_NO_ROOM_PAUSE_S", 0.01)

    async def main() -> None:
        async with Rig() as rig:
            rig.session()
            loop = asyncio.get_running_loop()
            admission = rig.admission()
            failing = [OSError(errno.EMFILE, "too many open files"), OSError(errno.ECONNABORTED, "gone")]

            class Loop:
                async def sock_accept(self, sock: socket.socket) -> tuple[socket.socket, object]:
                    if failing:
                        raise failing.pop(0)
                    return await loop.sock_accept(sock)

                def __getattr__(self, name: str) -> object:
                    return getattr(loop, name)

            monkeypatch.setattr(admission, "_loop", Loop())
            await rig.join(1)  # the accept that was waiting; the next two fail
            await rig.join(2)
            assert failing == []

    run(main())
