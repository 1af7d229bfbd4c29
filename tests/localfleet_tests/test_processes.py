"""Commands that a fleet runs beside itself end with whoever waits for them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.localfleet import change, processes, provision

DEADLINE_S = 50.0
Start = Callable[[Path], Coroutine[Any, Any, object]]


def fleet_command(fifo: Path) -> Coroutine[Any, Any, object]:
    return provision.fleet_command("document", "--in", str(fifo))


def attest(fifo: Path) -> Coroutine[Any, Any, object]:
    made = SimpleNamespace(
        up=SimpleNamespace(servers={"aws-1": "127.0.0.11"}),
        ports=SimpleNamespace(visitors=1),
        envelope=fifo,
        owner_key="00",
        simulations={"aws-1": fifo},
    )
    fleet: Any = SimpleNamespace(made=made)
    return change.attest(fleet, "aws-1")


@pytest.mark.integration
@pytest.mark.timeout(120)
@pytest.mark.parametrize("start", [fleet_command, attest])
async def test_a_command_that_is_no_longer_waited_for_is_killed(tmp_path: Path, start: Start) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    waiting = asyncio.create_task(start(fifo))
    writer = await held_open(fifo)  # from here on it reads what never ends
    try:
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        with pytest.raises(BrokenPipeError):  # nobody reads: it is gone, and not only told to go
            os.write(writer, b" ")
    finally:
        os.close(writer)


async def held_open(fifo: Path) -> int:
    """Wait until somebody reads, and return an end to write to."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                await asyncio.sleep(0.02)


async def test_a_command_answers_with_its_status_and_both_of_its_outputs() -> None:
    program = "import sys; print('answer'); print('story', file=sys.stderr); sys.exit(3)"
    assert await processes.ask("-c", program) == (3, "answer\n", "story\n")
