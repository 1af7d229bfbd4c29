"""What one data connection sends in one turn of the loop: gathered, joined, written once. I/O.

All frames of a turn leave in one `writelines` (one TLS record for small ones); payloads of 16 KiB and more
are not copied; a stream sends at most 64 KiB per turn, in turn with the others. A peer that does not read
makes streams wait for their turn, and is given up when even what needs no turn has piled up.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from runtime.limits import Limits
from runtime.tunnel.frames import HEADER_BYTES, Chunk, FrameType, header
from runtime.tunnel.join import Terms
from runtime.tunnel.stream import UNJOINED, Stream

_DATA = int(FrameType.DATA)


class Turn:
    """Implements `stream.Carrier`; `Mux` has the streams and reads what the peer sends."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        on_forget: Callable[[int], None],
        on_stalled: Callable[[int], None],
    ) -> None:
        """Prepare. `on_forget`: a stream is over; `on_stalled`: so many bytes wait, and nobody reads."""
        self.limits = limits
        self.peer = Terms.of(limits)  # until it has said its own, before any stream
        self.sent_bytes = 0
        self.over = False  # nothing is taken any more
        self._loop = loop
        self._on_stalled = on_stalled
        self._on_forget = on_forget
        self._transport: asyncio.Transport | None = None
        self._ready: deque[Stream] = deque()  # streams with something to send, whose turn comes in order
        self._small: list[Chunk] = []  # frames of this turn to be joined
        self._writes: list[Chunk] = []  # what this turn writes
        self._gathered = 0  # bytes in both
        self._scheduled = self._blocked = False

    @property
    def waiting(self) -> int:
        """Count the streams that wait to send."""
        return len(self._ready)

    # ------------------------------------------------------------------ for streams

    def gather_data(self, stream: int, data: Chunk) -> bool:
        """Take a small payload into this turn's write; False when it has to wait its turn."""
        if self._blocked or self._gathered >= self.limits.high_water:
            return False
        small = self._small
        small.append(header(_DATA, stream, len(data)))
        small.append(data)
        self._gathered += HEADER_BYTES + len(data)
        self._schedule()
        return True

    def gather_frame(self, head: bytes, parts: list[Chunk], size: int) -> None:
        """Take a frame of a stream that had its turn."""
        self._small.append(head)
        self._gathered += HEADER_BYTES + size
        if size < UNJOINED:
            self._small.extend(parts)
            return
        for part in parts:
            if len(part) < UNJOINED:
                self._small.append(part)
            else:
                self._join_small()
                self._writes.append(part)

    def send_control(self, data: bytes) -> None:
        """Take a frame that needs no credit. A peer that makes us answer and never reads is given up."""
        if self.over:
            return
        self._small.append(data)
        self._gathered += len(data)
        self._schedule()
        if self._blocked and self._transport is not None:
            waiting = self._transport.get_write_buffer_size() + self._gathered
            if waiting > self.limits.high_water + self.limits.stalled_bytes:
                self._loop.call_soon(self._on_stalled, waiting)

    def queue(self, stream: Stream) -> None:
        """Give a stream its next turn."""
        self._ready.append(stream)
        if not self._blocked:
            self._schedule()

    def forget(self, stream: int) -> None:
        """See `Carrier.forget`."""
        self._on_forget(stream)

    # ------------------------------------------------------------------ for the mux

    def begin(self, transport: asyncio.Transport) -> None:
        """Write to this transport from now on."""
        self._transport = transport
        transport.set_write_buffer_limits(high=self.limits.high_water)
        self._schedule()

    def pause(self) -> None:
        """The transport has enough."""
        self._blocked = True

    def resume(self) -> None:
        """The transport takes more."""
        self._blocked = False
        if self._ready:
            self._schedule()

    def end(self) -> None:
        """Take nothing any more; who waits for a turn gets none."""
        self.over = True
        self._ready.clear()

    def lost(self) -> None:
        """The transport is gone."""
        self._transport = None

    def write_out(self) -> None:
        """Write what was gathered, without waiting for the end of the turn."""
        self._join_small()
        if self._writes:
            writes, self._writes = self._writes, []
            self.sent_bytes += self._gathered
            self._gathered = 0
            if self._transport is not None and not self.over:
                if len(writes) == 1:
                    self._transport.write(writes[0])
                else:
                    self._transport.writelines(writes)

    def _schedule(self) -> None:
        if not self._scheduled and self._transport is not None:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        ready = self._ready
        for _ in range(len(ready)):
            if self._blocked or self._gathered >= self.limits.high_water:
                break
            ready.popleft().send_some(self)
        self.write_out()
        if ready and not self._blocked:
            self._schedule()

    def _join_small(self) -> None:
        if self._small:
            self._writes.append(self._small[0] if len(self._small) == 1 else b"".join(self._small))
            self._small = []
