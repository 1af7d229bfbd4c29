"""One end of a connection that a server relays between an owner and a client (docs/protocol.md §16). I/O.

It stands where asyncio has a socket, so that the channel with its TLS runs over it unchanged: who relays sees
that TLS and nothing else. What waits here is bounded by credit: what we send beyond it stays in one buffer
that tells the channel to pause, what the peer sends beyond it ends the stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from runtime.channel import relay_frames
from runtime.channel.relay_frames import CREDIT, MAX_DATA, Credit, Frame, Reason, What
from runtime.errors import PeerError

SendFrame = Callable[[Frame], None]  # raises PeerError when what carries the stream is over
_HIGH_WATER = 64 * 1024  # bytes that wait for credit; above it the channel pauses
_GIVE_BACK = CREDIT // 4  # bytes taken before credit goes back: not a frame for every frame


class RelayedTransport(asyncio.Transport):
    """One stream, for one `asyncio.Protocol`."""

    def __init__(
        self,
        stream: int,
        protocol: asyncio.Protocol,
        *,
        send: SendFrame,
        peer: str,
        on_end: Callable[[], None],
    ) -> None:
        """Start; `peer` is what logs call the other end, `on_end` is told once."""
        super().__init__({"peername": (peer, 0)})
        self.stream = stream
        self.reason: Reason | None = None  # why it ended, if the other end said so
        self._protocol, self._send, self._on_end = protocol, send, on_end
        self._may_send, self._may_receive = Credit(), Credit()
        self._unsent = bytearray()
        self._held = bytearray()  # received while the channel does not read
        self._taken = 0  # bytes that the channel took and whose credit we still keep
        self._reading, self._paused = True, False
        self._closing, self._over = False, False
        protocol.connection_made(self)

    # -- what comes from the other end ------------------------------------------------------------

    def frame(self, frame: Frame) -> None:
        """Take a frame of this stream. Raises: PeerError for one that ends what carries the stream."""
        if self._over:
            return  # it was on its way when we ended
        match frame.what:
            case What.DATA:
                self._may_receive.spend(len(frame.body))
                self._held += frame.body
                self._deliver()
            case What.WINDOW:
                self._may_send.give_back(frame.credit)
                self._flush()
            case What.CLOSE:
                self._end(frame.reason)
            case What.OPEN:
                raise PeerError("out_of_turn", "a relayed stream was opened twice")

    def lost(self) -> None:
        """End: what carried the stream is over."""
        self._end(Reason.GONE)

    # -- asyncio.Transport ------------------------------------------------------------------------

    def write(self, data: Any) -> None:
        """Send, or keep until there is credit."""
        if not self._closing:
            self._unsent += data
            self._flush()

    def get_write_buffer_size(self) -> int:
        """Return the bytes that wait for credit."""
        return len(self._unsent)

    def is_closing(self) -> bool:
        """Tell whether nothing more is taken."""
        return self._closing

    def pause_reading(self) -> None:
        """Keep what comes; no credit goes back meanwhile."""
        self._reading = False

    def resume_reading(self) -> None:
        """Hand on what was kept."""
        if not self._reading:
            self._reading = True
            self._deliver()

    def close(self) -> None:
        """End once everything is sent."""
        if not self._closing:
            self._closing = True
            self._flush()

    def abort(self) -> None:
        """End now."""
        self._unsent.clear()
        self._closing = True
        self._flush()

    # -- inside -----------------------------------------------------------------------------------

    def _deliver(self) -> None:
        if not self._held or not self._reading or self._closing:
            return
        data = bytes(self._held)
        self._held.clear()
        self._protocol.data_received(data)
        self._taken += len(data)
        if self._taken >= _GIVE_BACK and not self._over:
            taken, self._taken = self._taken, 0
            self._may_receive.give_back(taken)
            self._put(relay_frames.window(self.stream, taken))

    def _flush(self) -> None:
        while self._unsent and self._may_send.left and not self._over:
            part = bytes(self._unsent[: min(MAX_DATA, self._may_send.left)])
            del self._unsent[: len(part)]
            self._may_send.spend(len(part))
            self._put(Frame(What.DATA, self.stream, part))
        if self._closing and not self._unsent and not self._over:
            self._put(relay_frames.close(self.stream, Reason.DONE))
            self._end(None)
        elif not self._over and self._paused != (len(self._unsent) > _HIGH_WATER):
            self._paused = not self._paused
            (self._protocol.pause_writing if self._paused else self._protocol.resume_writing)()

    def _put(self, frame: Frame) -> None:
        try:
            self._send(frame)
        except PeerError:
            self._end(Reason.GONE)

    def _end(self, reason: Reason | None) -> None:
        if self._over:
            return
        self._over = self._closing = True
        self.reason = reason
        self._unsent.clear()
        self._held.clear()
        # Not from inside: the protocol may be in the middle of a write.
        asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)
        self._on_end()
