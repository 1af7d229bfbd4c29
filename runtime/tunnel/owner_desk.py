"""What a member does for an owner who proved to be one: tell how it is. Nothing else. I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from runtime.channel.control_channel import ControlChannel
from runtime.channel.deadline import deadline
from runtime.errors import PeerError
from runtime.limits import Limits
from runtime.tunnel import owner_messages
from runtime.tunnel.owner_messages import StatusAsk

TellStatus = Callable[[], Mapping[str, Any]]


async def attend(channel: ControlChannel, status: TellStatus, limits: Limits) -> None:
    """Answer until the owner leaves or its time is over.

    Raises: PeerError (its code says how it ended), MalformedError.
    """
    async with deadline(limits, "owner_visit_s", "an owner stayed for too long"):
        while True:
            await _answer(channel, status, limits)


async def _answer(channel: ControlChannel, status: TellStatus, limits: Limits) -> None:
    async with deadline(limits, "owner_idle_s", "an owner asked nothing"):
        message = owner_messages.decode(await channel.receive())
    if not isinstance(message, StatusAsk):
        raise PeerError("out_of_turn", f"{type(message).__name__} is not an owner's to send")
    for part in owner_messages.parts_of(status()):
        await channel.send(owner_messages.encode(part))
