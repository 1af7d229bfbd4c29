"""Joining a worker: what is accepted, and each attack on it that must not be."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import MalformedError, PeerError, UnreachableError, UsageError
from runtime.limits import Limits
from runtime.tunnel import admission as admission_module
from runtime.tunnel import data as data_module
from runtime.tunnel.control import Joined, Left, Session
from runtime.tunnel.data import Origin, OriginTable, connect
from runtime.tunnel.data_tls import ALPN, server_context
from runtime.tunnel.frames import ResetCode
from runtime.tunnel.tls_end import visitor_context
from tests.tunnel.conftest import Run
from tests.tunnel.rig import (
    SECRET,
    SESSION,
    Handler,
    Rig,
    certificate,
    echo,
    listening,
    settle,
    ticket,
    until,
    visitor_tls,
)


def test_join_is_told_and_leaving_too(run: Run) -> None:
    async def main() -> None:
        async with Rig() as rig:
            rig.session()
            one = await rig.join(1)
            await rig.join(2)
            await settle()
            assert [said for said in rig.told if isinstance(said, Joined)] == [
                Joined(session=SESSION, connections=0),  # the answer to Session: joins may come now
                Joined(session=SESSION, connections=1),
                Joined(session=SESSION, connections=2),
            ]
            one.goaway()
            assert await one.closed is None
            await until(lambda: Left(session=SESSION, connections=1) in rig.told)

    run(main())


def relay_tls(port: int) -> Handler:
    """End TLS on both sides and forward the plaintext: what a thief of the data key can do."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        context = visitor_tls()
        context.set_alpn_protocols([ALPN])
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while chunk := await source.read(65536):
                    sink.write(chunk)
                    await sink.drain()
            sink.close()

        await asyncio.gather(copy(reader, up_writer), copy(up_reader, writer))

    return handler


def stolen_context() -> ssl.SSLContext:
    stolen = certificate("data.example")
    return server_context(stolen.pem.decode(), stolen.key.decode())


def test_a_relay_with_the_stolen_data_key_is_refused(run: Run) -> None:
    async def main() -> None:
        async with Rig() as rig, listening(relay_tls(rig.data_port), ssl=stolen_context()) as port:
            rig.session()
            rig.data_port = port
            with pytest.raises(PeerError) as caught:
                await rig.join()
            assert caught.value.code == "join_refused"
            assert rig.counters().refused == {"join_refused": 1}
            assert Joined(session=SESSION, connections=1) not in rig.told

    run(main())


def test_it_is_the_finished_that_stops_that_relay(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same attack with the Finished left out of the proof succeeds: the part is load-bearing."""

    def constant(tls: ssl.SSLObject) -> bytes:
        del tls
        return bytes(32)

    monkeypatch.setattr(data_module, "client_finished", constant)
    monkeypatch.setattr(admission_module, "client_finished", constant)

    async def main() -> None:
        async with Rig() as rig, listening(relay_tls(rig.data_port), ssl=stolen_context()) as port:
            rig.session()
            rig.data_port = port
            await rig.join()
            assert Joined(session=SESSION, connections=1) in rig.told

    run(main())


def test_a_replayed_counter_is_refused(run: Run) -> None:
    async def main() -> None:
        async with Rig() as rig:
            rig.session()
            await rig.join(7)
            with pytest.raises(PeerError):
                await rig.join(7)
            assert rig.counters().refused == {"join_replayed": 1}
            await rig.join(8)

    run(main())


def test_an_ended_session_is_cut_at_once_and_cannot_join_again(run: Run) -> None:
    async def main() -> None:
        async with Rig() as rig:
            await rig.publish(echo, kind="http")
            reader, writer = await rig.visit()
            writer.write(b"x")
            await reader.readexactly(1)
            rig.end()
            error = await rig.connections[0].closed
            assert isinstance(error, PeerError)
            assert (error.code, error.remote) == ("session_ended", True)
            with pytest.raises(ConnectionError):
                await reader.readexactly(1)
            with pytest.raises(PeerError):
                await rig.join(2)
            assert rig.counters().refused == {"join_unknown_session": 1}
            with pytest.raises(ConnectionRefusedError):
                await rig.visit()

    run(main())


@pytest.mark.parametrize(
    "changes",
    [
        {"secret": bytes(32)},
        {"epoch": 2},
        {"epoch": 0},
        {"worker": 4},
    ],
    ids=str,
)
def test_what_does_not_fit_the_session_is_refused(run: Run, changes: dict[str, Any]) -> None:
    async def main() -> None:
        async with Rig() as rig:
            rig.session()
            with pytest.raises(PeerError):
                await rig.join(1, **changes)
            assert rig.counters().refused == {"join_refused": 1}

    run(main())


def test_a_new_epoch_keeps_connections_and_ends_the_old_secret(run: Run) -> None:
    async def main() -> None:
        new = bytes(reversed(SECRET))
        async with Rig() as rig:
            rig.session()
            first = await rig.join(1)
            rig.worker.apply(Session(session=SESSION, member="client-a", epoch=2, join_secret=new))
            rig.worker.apply(Session(session=SESSION, member="client-a", epoch=1, join_secret=SECRET))
            with pytest.raises(PeerError):
                await rig.join(2)
            await rig.join(1, epoch=2, secret=new)
            assert not first.closed.done()

    run(main())


def test_with_a_wrong_pin_not_one_byte_is_sent(run: Run) -> None:
    got: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            got.append(await reader.read(-1))
        writer.close()

    async def main() -> None:
        other = certificate("other.example")
        context = server_context(other.pem.decode(), other.key.decode())
        async with Rig() as rig, listening(listen, ssl=context) as port:
            rig.data_port = port
            with pytest.raises(PeerError) as caught:
                await rig.join()
            assert caught.value.code == "pin_mismatch"
            await settle(0.1)
        assert b"".join(got) == b""

    run(main())


def test_a_server_without_our_alpn_is_refused_before_a_byte(run: Run) -> None:
    got: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            got.append(await reader.read(-1))
        writer.close()

    async def main() -> None:
        own = certificate("data.example")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        fd = os.memfd_create("test")
        os.write(fd, own.pem + own.key)
        context.load_cert_chain(Path(f"/proc/self/fd/{fd}"))
        os.close(fd)
        async with Rig() as rig, listening(listen, ssl=context) as port:
            rig.data_port = port
            with pytest.raises(PeerError) as caught:
                await rig.join()
            assert caught.value.code == "alpn_mismatch"
            await settle(0.1)
        assert b"".join(got) == b""

    run(main())


def test_a_server_that_answers_with_a_wrong_proof_is_refused(run: Run) -> None:
    async def wrong(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            join = await reader.readexactly(74)
            writer.write(b"\0\0\x28\x02\0\0\0\0" + join[-40:])  # reflect the client's own proof
            await reader.read(-1)
        writer.close()

    async def main() -> None:
        async with Rig() as rig, listening(wrong, ssl=stolen_context()) as port:
            rig.data_port = port
            with pytest.raises(PeerError) as caught:
                await rig.join()
            assert caught.value.code == "join_refused"

    run(main())


def test_a_silent_server_is_given_up_at_the_deadline(run: Run) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.read(-1)
        writer.close()

    async def main() -> None:
        async with listening(silent, ssl=stolen_context()) as port:
            with pytest.raises(PeerError, match=r"^data_deadline: .* did not join within 0"):
                await connect(
                    ("127.0.0.1", port),
                    ticket=ticket(),
                    origins=OriginTable({}, frozenset()),
                    limits=Limits(),
                    deadline_s=0.2,
                )
        with pytest.raises(UnreachableError):
            await connect(
                ("127.0.0.1", port),
                ticket=ticket(),
                origins=OriginTable({}, frozenset()),
                limits=Limits(),
                deadline_s=1,
            )

    run(main())


def test_drain_lets_streams_finish_and_opens_no_new_ones(run: Run) -> None:
    async def main() -> None:
        async with Rig() as rig:
            await rig.publish(echo, kind="http")
            reader, writer = await rig.visit()
            draining = asyncio.ensure_future(rig.connections[0].drain(5))
            await settle()
            with pytest.raises(ConnectionRefusedError):
                await rig.visit()
            writer.write(b"still")
            assert await reader.readexactly(5) == b"still"
            writer.close()
            await draining
            assert rig.connections[0].closed.result() is None

    run(main())


def test_drain_cuts_at_the_deadline(run: Run) -> None:
    async def main() -> None:
        async with Rig() as rig:
            await rig.publish(echo, kind="http")
            reader, _ = await rig.visit()
            await rig.connections[0].drain(0.1)
            assert rig.connections[0].closed.done()
            with pytest.raises(ConnectionError):
                await reader.readexactly(1)

    run(main())


def test_origin_table() -> None:
    exact = Origin(kind="tls", host="127.0.0.1", port=1, ssl_context=None)
    wild = Origin(kind="tls", host="127.0.0.1", port=2, ssl_context=None)
    table = OriginTable({"A.b.c": exact, "*.b.c": wild}, frozenset({"*.b.c", "b.c"}))
    assert table.hostnames == ("*.b.c", "a.b.c")
    assert table.find("a.b.c") is exact
    assert table.find("x.b.c") is wild
    assert table.find("b.c") is ResetCode.NO_ROUTE
    assert table.find("x.y.b.c") is ResetCode.NOT_GRANTED
    for broken in (".b.c", "a\0.b.c", "a b.b.c", "a" * 64 + ".b.c", "-.b.c"):
        assert table.find(broken) is ResetCode.NO_ROUTE
    table.set_granted(frozenset())
    assert table.find("a.b.c") is ResetCode.NOT_GRANTED
    with pytest.raises(MalformedError):
        table.set_routes({"*": wild})
    with pytest.raises(UsageError):
        Origin(kind="http", host="127.0.0.1", port=1, ssl_context=None)
    own = visitor_context(certificate().pem, certificate().key)
    contradictions: list[dict[str, Any]] = [
        {"kind": "tls", "ssl_context": own},
        {"kind": "https", "ssl_context": own},
        {"kind": "h2", "ssl_context": own, "pins": frozenset({bytes(31)})},
        {"kind": "h2c", "ssl_context": own, "pins": frozenset({bytes(32)})},
        {"kind": "tls", "ssl_context": None, "pins": frozenset({bytes(32)})},
    ]
    for wrong in contradictions:
        with pytest.raises(UsageError):
            Origin(host="127.0.0.1", port=1, **wrong)
