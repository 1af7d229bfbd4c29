"""A server between an owner and a client: passes frames on, and holds both to their credit (§16). I/O.

It keeps no byte: what comes from one side leaves for the other in the same turn, and credit, given back end
to end, bounds what can wait in the other side's socket.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from runtime.channel import relay_frames
from runtime.channel.control_channel import ControlChannel
from runtime.channel.relay_frames import Credit, Frame, Reason, What
from runtime.errors import PeerError

FindClient = Callable[[str], ControlChannel | None]


@dataclass(eq=False, slots=True)
class _Leg:
    """One side of a stream: where it goes on, and what its sender may still send."""

    channel: ControlChannel
    stream: int
    credit: Credit = field(default_factory=Credit)


class OwnerRelay:
    """All relayed streams of one server."""

    def __init__(self, find_client: FindClient, *, most_streams: int, count: Callable[[str], None]) -> None:
        """`most_streams` of one owner at a time; `count` is told the code of each one too many."""
        self._find_client, self._most_streams, self._count = find_client, most_streams, count
        self._across: dict[tuple[ControlChannel, int], tuple[_Leg, _Leg]] = {}  # (this leg, the other one)
        self._last: dict[ControlChannel, int] = {}  # the last stream opened on a channel, by either side

    @property
    def streams(self) -> int:
        """Count the streams open now."""
        return len(self._across) // 2

    def from_owner(self, owner: ControlChannel, frame: Frame) -> None:
        """Take a frame of a proven owner. Raises: PeerError when it breaks the rules."""
        if frame.what is What.OPEN:
            self._open(owner, frame)
        else:
            self._pass_on(owner, frame)

    def from_client(self, client: ControlChannel, frame: Frame) -> None:
        """Take a frame of a client. Raises: PeerError when it breaks the rules."""
        if frame.what is What.OPEN:
            raise PeerError("out_of_turn", "a client opens no relayed stream")
        self._pass_on(client, frame)

    def gone(self, channel: ControlChannel) -> None:
        """End every stream of a channel that is over."""
        self._last.pop(channel, None)
        for leg, other in [pair for (at, _), pair in self._across.items() if at is channel]:
            self._forget(leg, other)
            _send(other, relay_frames.close(other.stream, Reason.GONE))

    def _open(self, owner: ControlChannel, frame: Frame) -> None:
        if frame.stream <= self._last.get(owner, 0):
            raise PeerError("out_of_turn", f"relayed stream {frame.stream} was used before")
        self._last[owner] = frame.stream
        client = self._find_client(frame.body.decode("ascii", "replace"))
        if client is None:
            owner.send_frame(relay_frames.close(frame.stream, Reason.NO_SESSION))
            return
        if sum(at is owner for at, _ in self._across) >= self._most_streams:
            self._count("owner_relay_busy")
            owner.send_frame(relay_frames.close(frame.stream, Reason.BUSY))
            return
        there = self._last[client] = self._last.get(client, 0) + 1
        near, far = _Leg(owner, frame.stream), _Leg(client, there)
        self._across[owner, near.stream], self._across[client, far.stream] = (near, far), (far, near)
        if not _send(far, Frame(What.OPEN, there)):
            self._close(near, far, Reason.GONE)

    def _pass_on(self, channel: ControlChannel, frame: Frame) -> None:
        pair = self._across.get((channel, frame.stream))
        if pair is None:
            if frame.stream > self._last.get(channel, 0):
                raise PeerError("out_of_turn", f"relayed stream {frame.stream} was never opened")
            return  # it was on its way when the other side closed
        leg, other = pair
        match frame.what:
            case What.DATA:
                leg.credit.spend(len(frame.body))
            case What.WINDOW:
                other.credit.give_back(frame.credit)
            case What.CLOSE | What.OPEN:
                self._forget(leg, other)
        if not _send(other, Frame(frame.what, other.stream, frame.body)):
            self._close(leg, other, Reason.GONE)

    def _close(self, leg: _Leg, other: _Leg, reason: Reason) -> None:
        """Tell one side that the other one is lost."""
        self._forget(leg, other)
        _send(leg, relay_frames.close(leg.stream, reason))

    def _forget(self, leg: _Leg, other: _Leg) -> None:
        self._across.pop((leg.channel, leg.stream), None)
        self._across.pop((other.channel, other.stream), None)


def _send(leg: _Leg, frame: Frame) -> bool:
    """Send; whether the channel still stands. Its own session ends it, whoever noticed first."""
    try:
        leg.channel.send_frame(frame)
    except PeerError:
        return False
    return True
