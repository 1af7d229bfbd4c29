"""What a member does for an owner who proved to be one: tell how it is. Nothing else. I/O."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from runtime.channel.control_channel import ControlChannel
from runtime.errors import PeerError
from runtime.tunnel import owner_messages
from runtime.tunnel.owner_messages import StatusAsk

TellStatus = Callable[[], Mapping[str, Any]]
VISIT_S = 120.0  # an owner looks and leaves; one who was forgotten frees its place
IDLE_S = 60.0  # between two questions; a signing command may wait for a person before it reaches further


async def attend(channel: ControlChannel, status: TellStatus) -> None:
    """Answer until the owner leaves or its time is over.

    Raises: PeerError (its code says how it ended), MalformedError.
    """
    try:
        async with asyncio.timeout(VISIT_S):
            while True:
                await _answer(channel, status)
    except TimeoutError as error:
        raise PeerError("timeout", f"a visit of over {VISIT_S:g} s, or {IDLE_S:g} s of silence") from error


async def _answer(channel: ControlChannel, status: TellStatus) -> None:
    async with asyncio.timeout(IDLE_S):
        message = owner_messages.decode(await channel.receive())
    if not isinstance(message, StatusAsk):
        raise PeerError("out_of_turn", f"{type(message).__name__} is not an owner's to send")
    for part in owner_messages.parts_of(status()):
        await channel.send(owner_messages.encode(part))
