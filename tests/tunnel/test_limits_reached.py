"""Each limit of visitors, streams and dials reached for real: who is turned away, and by which code."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncGenerator, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.limits import Limits
from runtime.tunnel import access_log
from runtime.tunnel.client_hello import DECODE_ERROR, INTERNAL_ERROR, alert
from tests.tunnel.conftest import Run
from tests.tunnel.rig import HOST, TUNNEL_NAME, Rig, client_hello, echo, until


class Away(logging.Handler):
    """The reasons in the access log."""

    def __init__(self) -> None:
        super().__init__()
        self.reasons: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = record.__dict__["fields"]
        self.reasons.append(str(fields["reason"]))


@pytest.fixture
def away() -> Iterator[Away]:
    made, before = Away(), access_log.log.level
    access_log.log.addHandler(made)
    access_log.log.setLevel(logging.INFO)
    yield made
    access_log.log.removeHandler(made)
    access_log.log.setLevel(before)


def logged(limits: Limits, **changes: Any) -> Rig:
    return Rig(limits, access_log="streams", **changes)


async def answered(rig: Rig, hello: bytes) -> bytes:
    reader, writer = await rig.raw()
    writer.write(hello)
    async with asyncio.timeout(20):
        return await reader.read(-1)


def test_visitors_beyond_the_limit_are_reset(run: Run, away: Away) -> None:
    async def main() -> None:
        async with logged(Limits(max_visitors=1)) as rig:
            await rig.publish(echo, kind="tls")
            await rig.visit()
            with pytest.raises(ConnectionError):
                await answered(rig, client_hello(HOST))
            assert rig.counters().refused == {"too_many_visitors": 1}
            assert away.reasons == ["too_many_visitors"]

    run(main())


def test_a_hello_beyond_the_limit_is_answered_by_an_alert(run: Run, away: Away) -> None:
    async def main() -> None:
        async with logged(Limits(hello_bytes=200)) as rig:
            await rig.stand()
            assert await answered(rig, client_hello(HOST)) == alert(DECODE_ERROR)
            assert rig.counters().refused == {"hello_too_large": 1}
            assert away.reasons == ["hello_too_large"]

    run(main())


@pytest.mark.parametrize("whose", ["the server's", "the client's"])
def test_a_visitor_for_whom_no_connection_has_a_stream_is_told_so(run: Run, away: Away, whose: str) -> None:
    """Not `no_route`: the hostname is served, and the remedy is another."""

    async def main() -> None:
        few = Limits(max_streams=1)
        async with logged(few if whose == "the server's" else Limits()) as rig:
            rig.client_limits = few
            await rig.publish(echo, kind="tls")
            reader, writer = await rig.visit()
            assert await answered(rig, client_hello(HOST)) == alert(INTERNAL_ERROR)
            assert rig.counters().refused == {"too_many_streams": 1}
            assert away.reasons == ["too_many_streams"]
            writer.write(b"still here")
            assert await reader.readexactly(10) == b"still here"

    run(main())


@contextlib.asynccontextmanager
async def quiet_own(tmp_path: Path) -> AsyncGenerator[str]:
    """A control process that answers nothing under the tunnel name."""

    async def quiet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.read(-1)
        writer.close()

    path = str(tmp_path / "own.sock")
    server = await asyncio.start_unix_server(quiet, path)
    async with server:
        yield path


def test_visitors_of_the_tunnel_name_beyond_the_limit_are_told_so(
    run: Run, away: Away, tmp_path: Path
) -> None:
    async def main() -> None:
        async with (
            quiet_own(tmp_path) as path,
            logged(Limits(own_visitors=1), tunnel_name_socket=path) as rig,
        ):
            await rig.stand()
            _, first = await rig.raw()
            first.write(client_hello(TUNNEL_NAME))
            await until(lambda: rig.worker._board is not None and rig.worker._board._own == 1)
            assert await answered(rig, client_hello(TUNNEL_NAME)) == alert(INTERNAL_ERROR)
            assert rig.counters().refused == {"tunnel_name_busy": 1}  # once, and no `no_route`
            assert away.reasons == ["tunnel_name_busy"]

    run(main())


def test_a_visitor_of_the_tunnel_name_who_stays_is_cut(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        limits = Limits(own_visitors=1, own_visitor_s=0.2)
        async with quiet_own(tmp_path) as path, Rig(limits, tunnel_name_socket=path) as rig:
            await rig.stand()
            for n in (1, 2):  # its place is free again
                assert await answered(rig, client_hello(TUNNEL_NAME)) == alert(INTERNAL_ERROR)
                assert rig.counters().refused["tunnel_name_late"] == n

    run(main())


@contextlib.contextmanager
def full_backlog() -> Generator[int]:
    """A port whose kernel takes no more connections and says nothing: SYNs are dropped."""
    with contextlib.ExitStack() as held:
        listener = held.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(64):
            one = held.enter_context(socket.socket())
            one.settimeout(0.3)
            try:
                one.connect(listener.getsockname())
            except TimeoutError:
                break
        else:
            pytest.fail("the kernel takes 64 connections that nobody accepts")
        yield listener.getsockname()[1]


def test_an_origin_that_does_not_take_the_connection_is_given_up(run: Run, away: Away) -> None:
    async def main() -> None:
        with full_backlog() as port:
            async with logged(Limits(dial_s=0.2)) as rig:
                rig.origins.set_routes({HOST: rig.route("tls", port)})
                rig.origins.set_granted(frozenset({HOST}))
                rig.session()
                await rig.join()
                await rig.doors(opened=True)
                assert await answered(rig, client_hello(HOST)) == alert(INTERNAL_ERROR)
                await until(lambda: bool(away.reasons))
        assert away.reasons == ["origin_deadline"]

    run(main())
