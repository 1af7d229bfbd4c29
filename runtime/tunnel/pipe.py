"""Two stream sinks of one process joined directly, with a credit like a data connection's. Pure."""

from __future__ import annotations

from runtime.tunnel.frames import Chunk, ResetCode
from runtime.tunnel.stream import StreamSink


class Pipe:
    """Two sinks of this process joined directly, with a credit of their own each way."""

    def __init__(self, near: StreamSink, far: StreamSink, *, credit: int) -> None:
        self.near_side = _PipeSide(own=near, other=far, credit=credit)
        self.far_side = _PipeSide(own=far, other=near, credit=credit)
        self.near_side.peer, self.far_side.peer = self.far_side, self.near_side


class _PipeSide:
    """The `Far` of one of the two sinks."""

    def __init__(self, *, own: StreamSink, other: StreamSink, credit: int) -> None:
        self._own = own
        self._other = other
        self._credit = credit
        self._held = 0  # bytes the other sink has not consumed
        self._paused = self.over = False
        self.peer = self

    def write(self, data: Chunk) -> None:
        if self.over:
            return
        self._held += len(data)
        if self._held > self._credit and not self._paused:
            self._paused = True
            self._own.pause()
        self._other.data(data)

    def end(self) -> None:
        if not self.over:
            self._other.end()

    def reset(self, code: ResetCode) -> None:
        if not self.over:
            self.over = self.peer.over = True
            self._other.reset(code)

    def consumed(self, size: int) -> None:
        self.peer.left(size)

    def left(self, size: int) -> None:
        self._held -= size
        if self._paused and not self.over and self._held <= self._credit // 2:
            self._paused = False
            self._own.resume()
