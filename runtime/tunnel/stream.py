"""One stream of a data connection: its credit both ways, its half-closes, and what waits to be sent. Pure.

What a stream can hold is bounded: the receiver by the credit it gave, the sender by one read of its
source, because the source is paused as soon as something has to wait.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from runtime.limits import Limits
from runtime.tunnel.frames import (
    MAX_CREDIT,
    MAX_DATA,
    Chunk,
    CloseCode,
    FrameError,
    FrameType,
    ResetCode,
    header,
    reset,
    window,
)
from runtime.tunnel.join import Terms

UNJOINED = 16 * 1024  # bytes; from here on a second write is cheaper than a copy
_DATA, _END = int(FrameType.DATA), int(FrameType.END)


class StreamSink(Protocol):
    """The local end of a stream: takes what the peer sent, and is told when to stop reading."""

    def data(self, chunk: Chunk) -> None:
        """Take bytes; call `Far.consumed` once they are gone."""
        ...

    def end(self) -> None:
        """No more bytes will come; sending may go on."""
        ...

    def reset(self, code: ResetCode) -> None:
        """The stream is over in both directions; the last call."""
        ...

    def pause(self) -> None:
        """Stop reading the source: the stream cannot send now."""
        ...

    def resume(self) -> None:
        """Read the source again."""
        ...


class Far(Protocol):
    """What a sink talks to: a stream, or something that stands before one."""

    def write(self, data: Chunk) -> None: ...

    def end(self) -> None: ...

    def reset(self, code: ResetCode) -> None: ...

    def consumed(self, size: int) -> None: ...


class Witness(Protocol):
    """Who wants to know how a stream ended: the access log."""

    def over(self, *, sent: int, received: int, reason: str) -> None:
        """Take how many bytes each direction carried, and why it ended: `done`, or a code."""
        ...


class Carrier(Protocol):
    """What a stream needs of its data connection."""

    limits: Limits
    peer: Terms  # what it takes, as it said when it joined

    def gather_data(self, stream: int, data: Chunk) -> bool: ...

    def gather_frame(self, head: bytes, parts: list[Chunk], size: int) -> None: ...

    def send_control(self, data: bytes) -> None: ...

    def queue(self, stream: Stream) -> None: ...

    def forget(self, stream: int) -> None: ...


class Stream:
    """One stream of a `Mux`. After `reset`, or both ends, every method does nothing."""

    __slots__ = (
        "_allowed",
        "_credit",
        "_ending",
        "_got_end",
        "_granted",
        "_mux",
        "_owed",
        "_paused",
        "_pending",
        "_queued",
        "_room",
        "_sent_end",
        "_sink",
        "_size",
        "id",
        "witness",
    )

    def __init__(self, mux: Carrier, stream: int, *, sent: int = 0, received: int = 0) -> None:
        """`sent` or `received` are the bytes that OPEN carried."""
        self.id = stream
        self._mux: Carrier | None = mux  # None: over
        self._sink: StreamSink | None = None
        # All that we, and the peer, were ever allowed to send: what is left of it tells what was sent.
        self._granted, self._allowed = mux.peer.credit, mux.limits.credit
        self._credit = self._granted - sent  # what we may still send
        self._room = self._allowed - received  # what the peer may still send
        self._owed = 0  # consumed, not yet given back
        self._pending: deque[Chunk] | None = None  # made when needed: most streams never wait
        self._size = 0  # bytes pending
        self.witness: Witness | None = None
        self._paused = self._queued = self._ending = self._sent_end = self._got_end = False

    @property
    def sink(self) -> StreamSink | None:
        """The local end, while there is one."""
        return self._sink

    @property
    def over(self) -> bool:
        """Whether the stream has left its connection."""
        return self._mux is None

    def write(self, data: Chunk) -> None:
        """Send bytes; a source that goes on after `pause` is buffered without bound, so it must not."""
        mux, size = self._mux, len(data)
        if mux is None or self._ending or not size:
            return
        if not self._size and size <= self._credit and size < UNJOINED and mux.gather_data(self.id, data):
            self._credit -= size
            return
        if self._pending is None:
            self._pending = deque()
        self._pending.append(data)
        self._size += size
        self._queue(mux)
        if not self._paused and self._sink is not None:
            self._paused = True
            self._sink.pause()

    def end(self) -> None:
        """Send no more; what is pending goes first."""
        if self._mux is not None and not self._ending:
            self._ending = True
            self._queue(self._mux)

    def reset(self, code: ResetCode) -> None:
        """Give up both directions. The own sink is not called."""
        mux = self._mux
        if mux is not None:
            self.detach(code)
            mux.forget(self.id)
            mux.send_control(reset(self.id, code))

    def consumed(self, size: int) -> None:
        """Give credit back for received bytes that have left this process."""
        mux = self._mux
        if mux is None or self._got_end:
            return
        self._owed += size
        if self._owed >= mux.limits.credit // 2:
            self._room += self._owed
            self._allowed += self._owed
            mux.send_control(window(self.id, self._owed))
            self._owed = 0

    # What follows is called by the mux alone.

    def attach(self, sink: StreamSink) -> None:
        self._sink = sink

    def detach(self, why: ResetCode | str) -> StreamSink | None:
        witness, self.witness = self.witness, None
        if witness is not None:
            sent, received = self._granted - self._credit, self._allowed - self._room
            reason = why.name.lower() if isinstance(why, ResetCode) else why
            witness.over(sent=sent, received=received, reason=reason)
        sink, self._sink, self._mux, self._pending, self._size = self._sink, None, None, None, 0
        return sink

    def received(self, payload: Chunk, *, last: bool) -> None:
        size = len(payload)
        if self._got_end:
            raise FrameError(CloseCode.STREAM_ENDED, f"stream {self.id} sends after END")
        if size > self._room:
            raise FrameError(CloseCode.CREDIT_EXCEEDED, f"stream {self.id}: {size} bytes of {self._room}")
        self._room -= size
        sink = self._sink
        if sink is None:
            return
        if size:
            sink.data(payload)
        if last:
            self._got_end = True
            if self._sink is not None:  # `data` may have reset the stream
                sink.end()
            self._finish()

    def credited(self, credit: int) -> None:
        if self._credit + credit > MAX_CREDIT:
            raise FrameError(CloseCode.CREDIT_OVERFLOW, f"stream {self.id}: credit above {MAX_CREDIT}")
        self._credit += credit
        self._granted += credit
        if self._mux is not None and self._size:
            self._queue(self._mux)

    def send_some(self, mux: Carrier) -> None:
        """Send what one turn allows, then wait for the next turn, for credit, or for the source."""
        self._queued = False
        if self._mux is None:
            return
        size = min(self._size, self._credit, MAX_DATA)
        last = self._ending and size == self._size
        if not size and not last:
            return
        mux.gather_frame(header(_END if last else _DATA, self.id, size), self._take(size), size)
        self._credit -= size
        if last:
            self._sent_end = True
            self._finish()
        elif self._size:
            if self._credit:
                self._queue(mux)
        elif self._paused and self._sink is not None:
            self._paused = False
            self._sink.resume()

    def _queue(self, mux: Carrier) -> None:
        if not self._queued:
            self._queued = True
            mux.queue(self)

    def _take(self, size: int) -> list[Chunk]:
        parts: list[Chunk] = []
        self._size -= size
        while size and self._pending:
            part = self._pending.popleft()
            if len(part) > size:
                view = memoryview(part)
                part = view[:size]
                self._pending.appendleft(view[size:])
            parts.append(part)
            size -= len(part)
        return parts

    def _finish(self) -> None:
        if self._sent_end and self._got_end and self._mux is not None:
            mux = self._mux
            self.detach("done")
            mux.forget(self.id)
