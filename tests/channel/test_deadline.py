"""A deadline names its limit, and takes no other time-out for its own."""

from __future__ import annotations

import asyncio

import pytest

from runtime.channel.deadline import deadline
from runtime.errors import PeerError


async def test_what_takes_longer_is_told_by_the_limit_s_code() -> None:
    with pytest.raises(PeerError, match=r"message_deadline: nothing came within 0\.01 s"):
        async with deadline(0.01, "message_deadline", "nothing came"):
            await asyncio.Event().wait()


async def test_what_is_done_in_time_passes() -> None:
    async with deadline(60, "message_deadline", "nothing came"):
        await asyncio.sleep(0)


async def test_a_time_out_of_the_kernel_s_is_not_ours() -> None:
    with pytest.raises(TimeoutError):
        async with deadline(60, "session_deadline", "no answer"):
            raise TimeoutError("ETIMEDOUT")
