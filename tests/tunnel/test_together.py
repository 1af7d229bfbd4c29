"""What stands or falls together."""

from __future__ import annotations

import asyncio

import pytest

from runtime.tunnel.together import run_together


class Spoiled(Exception):  # noqa: N818 - a name for a test
    pass


async def forever(ended: list[str], name: str) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        ended.append(name)


async def fail(after_s: float) -> None:
    await asyncio.sleep(after_s)
    raise Spoiled


async def test_the_first_failure_ends_the_others_and_comes_out_as_it_is() -> None:
    ended: list[str] = []
    with pytest.raises(Spoiled):
        await run_together(forever(ended, "a"), fail(0.01), forever(ended, "b"))
    assert sorted(ended) == ["a", "b"]


async def test_the_first_to_end_well_ends_the_others() -> None:
    ended: list[str] = []
    await run_together(forever(ended, "a"), asyncio.sleep(0.01))
    assert ended == ["a"]


async def test_cancelled_from_outside_all_have_ended_before_it_returns() -> None:
    ended: list[str] = []
    running = asyncio.ensure_future(run_together(forever(ended, "a"), forever(ended, "b")))
    await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert sorted(ended) == ["a", "b"]


async def test_a_timeout_afterwards_still_is_a_timeout() -> None:
    """The reason for not using a TaskGroup: before 3.11.4 this would cancel the whole task."""
    with pytest.raises(Spoiled):
        await run_together(fail(0.01), asyncio.sleep(1))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await asyncio.sleep(1)
