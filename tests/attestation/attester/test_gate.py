"""One at a time, bounded, and a cancelled caller does not let the next one into a TPM that is in use."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from runtime.attestation.attester.gate import Gate
from runtime.errors import UnreachableError


async def use(gate: Gate, work: threading.Event, log: list[str], name: str) -> None:
    async with gate.turn() as turn:
        await turn.in_thread(lambda: _work(work, log, name))


def _work(go_on: threading.Event, log: list[str], name: str) -> None:
    log.append(f"{name} begins")
    assert go_on.wait(30)
    log.append(f"{name} ends")


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - a thread does it
            await asyncio.sleep(0.005)


async def test_one_at_a_time() -> None:
    gate, log, go_on = Gate(), list[str](), threading.Event()
    go_on.set()
    async with asyncio.TaskGroup() as tasks:
        for number in range(8):
            tasks.create_task(use(gate, go_on, log, str(number)))
    assert log == [f"{number} {what}" for number in range(8) for what in ("begins", "ends")]
    assert gate.waiting == 0


async def test_a_cancelled_caller_keeps_the_next_one_out_until_its_thread_is_done() -> None:
    gate, log, first, second = Gate(), list[str](), threading.Event(), threading.Event()
    second.set()
    async with asyncio.TaskGroup() as tasks:
        one = tasks.create_task(use(gate, first, log, "one"))
        await until(lambda: log)
        one.cancel()
        await until(one.done)
        two = tasks.create_task(use(gate, second, log, "two"))
        for _ in range(20):
            await asyncio.sleep(0)
        assert log == ["one begins"]
        assert not two.done()
        first.set()
    assert log == ["one begins", "one ends", "two begins", "two ends"]


async def test_too_many_are_told_to_come_back() -> None:
    gate, log, go_on = Gate(most_waiting=2), list[str](), threading.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(use(gate, go_on, log, "one"))
        tasks.create_task(use(gate, go_on, log, "two"))
        await until(lambda: gate.waiting == 2)
        with pytest.raises(UnreachableError, match="try again later"):
            await use(gate, go_on, log, "three")
        go_on.set()
    assert gate.waiting == 0


async def test_the_deadline_is_over_waiting_and_work() -> None:
    gate, log, go_on = Gate(deadline_s=0.05), list[str](), threading.Event()
    for name in ("one", "two"):  # the second waits for the first one's thread, and not for ever
        with pytest.raises(UnreachableError, match=r"within 0\.05 s"):
            await use(gate, go_on, log, name)
    go_on.set()
    await until(lambda: log == ["one begins", "one ends"])
    assert gate.waiting == 0


async def test_the_work_s_own_error_comes_out_as_it_is() -> None:
    gate = Gate()

    def fail() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        async with gate.turn() as turn:
            await turn.in_thread(fail)
    async with gate.turn() as turn:  # and the gate is open again
        assert await turn.in_thread(lambda: 7) == 7
