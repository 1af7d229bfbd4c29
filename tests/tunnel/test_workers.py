"""The pool of relay workers, with real worker processes: told in order, heard, noticed when gone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest

from runtime.errors import PeerError, TunnelError
from runtime.limits import Limits
from runtime.tunnel import control
from runtime.tunnel import workers as module
from runtime.tunnel.control import Drain, End, Grant, Session
from runtime.tunnel.data import OriginTable, connect
from runtime.tunnel.workers import Worker, WorkerPool
from tests.tunnel.rig import SECRET, SESSION, configure, ticket, until

KNOWN = Session(session=SESSION, member="client-a", epoch=1, join_secret=SECRET)


class Running:
    """A pool with its task group."""

    def __init__(self, limits: Limits) -> None:
        self.heard: list[bytes] = []
        self.known: list[control.ToWorker] = []
        self.pool = WorkerPool(self.heard.append, limits, lambda: self.known)
        self.ready: list[Any] = []

    def pids(self) -> list[int]:
        return [worker.process.pid for worker in self.pool._workers]


@contextlib.asynccontextmanager
async def running(
    count: int = 1, *, limits: Limits | None = None, **changes: Any
) -> AsyncGenerator[Running, None]:
    made = Running(limits or Limits())
    async with asyncio.TaskGroup() as tasks:
        try:
            configurations = [configure(worker=index, **changes) for index in range(count)]
            made.ready = await made.pool.start(configurations, tasks)
            yield made
        finally:
            await made.pool.close()
    assert all(worker.process.returncode is not None for worker in made.pool._workers)  # waited for


def codes(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The codes that the pool has logged."""
    return [record.__dict__["fields"]["code"] for record in caplog.records if "fields" in record.__dict__]


def accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


async def test_every_worker_listens_and_knows_a_session_once_it_is_announced() -> None:
    async with running(2) as made:
        ports = {ready.data_port for ready in made.ready}
        assert len(ports) == 2
        assert all(accepts(port) for port in ports)
        await made.pool.announce(KNOWN)
        assert made.heard.count(SESSION) == 2  # an answer of each worker
        assert made.pool.connections(SESSION) == 0
        connections = [
            await connect(
                ("127.0.0.1", ready.data_port),
                ticket=ticket(worker=index),
                origins=OriginTable({}, frozenset()),
                limits=Limits(),
                deadline_s=5,
            )
            for index, ready in enumerate(made.ready)
        ]
        await until(lambda: made.pool.connections(SESSION) == 2)
        await until(lambda: len(made.pool.counters()) == 2)
        connections[0].abort()
        await until(lambda: made.pool.connections(SESSION) == 1)
        await made.pool.tell(End(session=SESSION, reason="the test says so"))
        await until(lambda: made.pool.connections(SESSION) == 0)
        async with asyncio.timeout(20):
            await connections[1].closed
    assert not any(accepts(port) for port in ports)


async def test_a_worker_that_dies_is_replaced_on_its_ports_and_knows_what_the_others_know() -> None:
    async with running(2) as made:
        made.known.append(KNOWN)
        before, ports = made.pids(), [ready.data_port for ready in made.ready]
        os.kill(before[1], signal.SIGKILL)
        await until(lambda: made.pool.replaced == 1, 20)
        assert made.pids()[0] == before[0]
        assert made.pids()[1] != before[1]
        await until(lambda: made.heard == [SESSION], 20)  # the new one's answer
        connection = await connect(
            ("127.0.0.1", ports[1]),
            ticket=ticket(worker=1),
            origins=OriginTable({}, frozenset()),
            limits=Limits(),
            deadline_s=20,
        )
        connection.abort()
        assert not made.pool.died.done()
        await until(made.pool.answering, 20)


async def test_workers_that_keep_dying_end_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_DEATHS", 1)
    async with running() as made:
        os.kill(made.pids()[0], signal.SIGKILL)
        await until(lambda: made.pool.replaced == 1, 20)
        os.kill(made.pids()[0], signal.SIGKILL)
        async with asyncio.timeout(20):
            assert await made.pool.died == 0


async def test_a_frozen_worker_is_killed_and_replaced(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running() as made:
        monkeypatch.setattr(made.pool, "_limits", Limits(worker_silent_s=3.0))
        await until(lambda: bool(made.pool.counters()), 20)
        [pid] = made.pids()
        os.kill(pid, signal.SIGSTOP)
        await until(lambda: made.pool.replaced == 1, 40)
        assert made.pids() != [pid]
        assert codes(caplog) == ["worker_silent"]


async def test_a_worker_whose_loop_lags_in_three_reports_is_replaced(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running() as made:
        [worker] = made.pool._workers
        await until(lambda: worker.counters is not None, 20)
        counters = worker.counters
        assert counters is not None
        late = replace(counters, lag_s=2.5)
        for report in (late, late, counters, late, late):  # one in time begins the count anew
            made.pool._take(worker, report)
        assert worker.process.returncode is None
        made.pool._take(worker, late)
        assert codes(caplog) == ["worker_lagging"]
        await until(lambda: made.pool.replaced == 1, 20)


async def test_a_worker_that_lets_too_many_messages_wait_is_replaced(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It reads nothing: the others hear of a revocation all the same, and it ends."""
    async with running(limits=Limits(worker_lines=64, worker_silent_s=60.0)) as made:
        [pid] = made.pids()
        os.kill(pid, signal.SIGSTOP)
        large = Grant(session=SESSION, hostnames=tuple(f"{n:05}.example" for n in range(4000)))
        for _ in range(200):  # far more than its socket holds, and 64 that wait
            made.pool.tell_now(large)
            await asyncio.sleep(0)
            if codes(caplog):
                break
        assert codes(caplog) == ["worker_backlog"]
        await until(lambda: made.pool.replaced == 1, 20)


async def test_a_worker_that_does_not_answer_is_no_worker_for_the_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running() as made:
        monkeypatch.setattr(made.pool, "_limits", Limits(worker_take_s=0.2))
        [pid] = made.pids()
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(PeerError, match="worker_take_s") as caught:
            await made.pool.announce(KNOWN)
        assert caught.value.code == "worker_stuck"
        os.kill(pid, signal.SIGCONT)
        assert made.pool._known == {}


async def test_many_at_once_to_a_worker_that_is_slow_arrive_whole() -> None:
    """Far more than a socket holds, from many tasks: lines must not be cut into each other."""
    async with running() as made:
        [pid] = made.pids()
        os.kill(pid, signal.SIGSTOP)
        grants = [
            Grant(session=SESSION, hostnames=tuple(f"{n:03}{i:04}.example" for i in range(2500)))
            for n in range(100)
        ]
        telling = [asyncio.create_task(made.pool.tell(grant)) for grant in grants]
        await asyncio.sleep(0.1)
        for task in telling[::2]:
            task.cancel()  # nobody waits for this one any more: it must not leave half a line behind
        os.kill(pid, signal.SIGCONT)
        async with asyncio.timeout(10):
            await asyncio.gather(*telling, return_exceptions=True)
            await made.pool.announce(KNOWN)
        assert not made.pool.died.done()


async def test_a_worker_that_cannot_listen_ends_the_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = taken.getsockname()[:2]
        with pytest.raises(BaseExceptionGroup) as caught:
            async with running(data_listen=(address,)):
                pytest.fail("it started")
    assert caught.group_contains(TunnelError, match="relay worker 0 ended before it listened")


async def test_workers_that_do_not_listen_in_time_end_the_start() -> None:
    with pytest.raises(BaseExceptionGroup) as caught:
        async with running(limits=Limits(worker_start_s=0.001)):
            pytest.fail("it started")
    [error] = caught.value.exceptions
    assert isinstance(error, PeerError)
    assert error.code == "worker_start"


async def test_closing_does_not_wait_for_a_worker_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "END_DEADLINE_S", 0.2)
    async with running() as made:
        os.kill(made.pids()[0], signal.SIGSTOP)


async def test_a_drain_ends_the_worker_by_itself() -> None:
    async with running() as made:
        made.pool.expect_end()
        await made.pool.tell(Drain(deadline_s=0.1))
        async with asyncio.timeout(20):
            assert await made.pool.died == 0
        assert made.pool._workers[0].process.returncode == 0  # nobody killed it in its last lines


async def by_hand(command: str, *, lines: int = 8) -> tuple[Worker, socket.socket]:
    """A worker that is a shell command, and its end of the control socket, number 0 to the command."""
    ours, theirs = socket.socketpair()
    ours.settimeout(0)
    process = await asyncio.create_subprocess_exec("sh", "-c", command, stdin=theirs.fileno())
    return Worker(0, process, ours, asyncio.Queue(lines)), theirs


@pytest.mark.parametrize(
    ("command", "status"),
    [("exec 0<&-; sleep 0.5; exit 7", 7), ("exec 0<&-; exec sleep 600", -signal.SIGKILL)],
    ids=["writes its last lines", "hangs"],
)
async def test_who_has_closed_its_socket_may_end_by_itself_but_not_hang(
    command: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the socket comes the end of its access log, which a drain is not to lose."""
    monkeypatch.setattr(module, "END_DEADLINE_S", 1.0 if status < 0 else 30.0)
    pool = WorkerPool(lambda _: None, Limits())
    pool.expect_end()
    worker, theirs = await by_hand(command)
    theirs.close()
    async with asyncio.timeout(40):
        await pool._listen(worker)
    worker.socket.close()
    assert worker.process.returncode == status
    assert pool.died.done()


async def test_who_breaks_the_protocol_is_killed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "END_DEADLINE_S", 600.0)
    pool = WorkerPool(lambda _: None, Limits())
    pool.expect_end()
    worker, theirs = await by_hand("echo '{}' >&0; exec sleep 600")
    theirs.close()
    async with asyncio.timeout(40):
        await pool._listen(worker)
    worker.socket.close()
    assert worker.process.returncode == -signal.SIGKILL


async def test_one_that_has_just_ended_keeps_no_word_from_the_others() -> None:
    """It takes no more lines and is not yet removed; what the others are told may be a revocation."""
    pool = WorkerPool(lambda _: None, Limits())
    (gone, one), (other, another) = await by_hand("exit 0", lines=1), await by_hand("exec sleep 600")
    try:
        await gone.process.wait()
        gone.unsent.put_nowait(b"full")
        pool._workers = [gone, other]
        pool.tell_now(End(session=SESSION, reason="not_a_member"))
        assert other.unsent.qsize() == 1
    finally:
        other.process.kill()
        await other.process.wait()
        for each in (one, another, gone.socket, other.socket):
            each.close()
