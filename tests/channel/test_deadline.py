"""A deadline names its limit, and takes no other time-out for its own."""

from __future__ import annotations

import asyncio

import pytest

from runtime.channel.deadline import deadline
from runtime.errors import PeerError
from runtime.limits import Limits


async def test_what_takes_longer_is_told_by_the_limit_s_code() -> None:
    with pytest.raises(PeerError, match=r"message_deadline: nothing came within 0\.01 s \(message_s\)"):
        async with deadline(Limits(message_s=0.01), "message_s", "nothing came"):
            await asyncio.Event().wait()


async def test_what_is_done_in_time_passes() -> None:
    async with deadline(Limits(), "message_s", "nothing came"):
        await asyncio.sleep(0)


async def test_a_time_out_of_the_kernel_s_is_not_ours() -> None:
    with pytest.raises(TimeoutError):
        async with deadline(Limits(), "session_dial_s", "no answer"):
            raise TimeoutError("ETIMEDOUT")
