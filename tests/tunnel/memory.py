"""Two muxes joined in memory: an event loop run by hand, wires that wait, sinks that record."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from runtime.errors import PeerError
from runtime.limits import Limits
from runtime.tunnel.frames import Chunk, Endpoint, OpenRequest, ResetCode
from runtime.tunnel.mux import Mux
from runtime.tunnel.stream import Stream, StreamSink

Timer = tuple[float, Callable[[], object]]
HERE = Endpoint.of("192.0.2.1", 443)
KIB = 1024
HOSTNAME = "a.example"


def request(first: bytes = b"") -> OpenRequest:
    return OpenRequest(request_id=bytes(16), hostname=HOSTNAME, visitor=HERE, server=HERE, first=first)


class Handle:
    def __init__(self, timers: list[Timer], entry: Timer) -> None:
        self._timers, self._entry = timers, entry

    def cancel(self) -> None:
        if self._entry in self._timers:
            self._timers.remove(self._entry)


class Loop:
    """An event loop's callbacks and timers, run by hand: one `turn` at a time."""

    def __init__(self) -> None:
        self.soon: deque[Callable[[], object]] = deque()
        self.timers: list[Timer] = []
        self.now = 0.0

    def call_soon(self, callback: Callable[..., object], *arguments: object) -> None:
        self.soon.append(lambda: callback(*arguments))

    def call_later(self, delay: float, callback: Callable[..., object], *arguments: object) -> Handle:
        entry: Timer = (self.now + delay, lambda: callback(*arguments))
        self.timers.append(entry)

        return Handle(self.timers, entry)

    def turn(self) -> None:
        for _ in range(len(self.soon)):
            self.soon.popleft()()

    def settle(self) -> None:
        while self.soon:
            self.turn()

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        end = self.now + seconds
        while due := sorted((entry for entry in self.timers if entry[0] <= end), key=lambda entry: entry[0]):
            self.now = due[0][0]
            self.timers.remove(due[0])
            due[0][1]()
            self.settle()
        self.now = end


class Wire:
    """A transport that keeps what is written until the test lets it through."""

    def __init__(self) -> None:
        self.protocol: Mux | None = None
        self.peer: Wire | None = None
        self.written: list[bytes] = []
        self.writes = 0
        self.closed = self.aborted = self.blocked = False
        self.high = 0

    def get_extra_info(self, name: str) -> None:
        del name

    def set_write_buffer_limits(self, high: int) -> None:
        self.high = high

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self.written))

    def write(self, data: Chunk) -> None:
        self.writelines([data])

    def writelines(self, parts: list[Chunk]) -> None:
        self.writes += 1
        self.written += [bytes(part) for part in parts]
        if self.protocol and not self.blocked and self.get_write_buffer_size() > self.high:
            self.blocked = True
            self.protocol.pause_writing()

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def take(self) -> bytes:
        data = b"".join(self.written)
        self.written.clear()
        if self.protocol and self.blocked:
            self.blocked = False
            self.protocol.resume_writing()
        return data


class Sink:
    """Records what a stream's end is told; consumes at once unless told to hold."""

    def __init__(self, *, hold: bool = False) -> None:
        self.far: Stream | None = None
        self.hold = hold
        self.got = bytearray()
        self.said: list[str] = []

    def data(self, chunk: Chunk) -> None:
        self.got += chunk
        if not self.hold and self.far is not None:
            self.far.consumed(len(chunk))

    def end(self) -> None:
        self.said.append("end")

    def reset(self, code: ResetCode) -> None:
        self.said.append(code.name)

    def pause(self) -> None:
        self.said.append("pause")

    def resume(self) -> None:
        self.said.append("resume")


class Pair:
    """A server's and a client's mux with two wires between them."""

    def __init__(self, limits: Limits | None = None, *, hold: bool = False) -> None:
        self.loop = Loop()
        self.limits = limits or Limits()
        self.accepted: list[Sink] = []
        self.closed: dict[str, PeerError | None] = {}
        self.refuse: ResetCode | None = None
        self.hold = hold
        self.server = self._mux("server", accept=None)
        self.client = self._mux("client", accept=self.accept)
        self.down, self.up = Wire(), Wire()  # written by the server, by the client
        for wire, mux in ((self.down, self.server), (self.up, self.client)):
            wire.protocol = mux
            mux.connection_made(cast("asyncio.Transport", wire))

    def _mux(self, name: str, accept: Any) -> Mux:
        return Mux(
            loop=cast("asyncio.AbstractEventLoop", self.loop),
            limits=self.limits,
            accept=accept,
            on_closed=lambda _, error: self.closed.update({name: error}),
        )

    def accept(self, stream: Stream, opened: OpenRequest) -> StreamSink | ResetCode:
        if self.refuse is not None or opened.hostname != HOSTNAME:
            return self.refuse or ResetCode.NOT_GRANTED
        sink = Sink(hold=self.hold)
        sink.far = stream
        self.accepted.append(sink)
        return sink

    def open(self, first: bytes = b"") -> tuple[Stream, Sink]:
        sink = Sink()
        stream = self.server.open(request(first), sink)
        sink.far = stream
        return stream, sink

    def run(self) -> None:
        """Exchange everything until nothing moves."""
        while True:
            self.loop.settle()
            down, up = self.down.take(), self.up.take()
            if down:
                self.client.data_received(down)
            if up:
                self.server.data_received(up)
            if not (down or up or self.loop.soon):
                return

    def lose(self) -> None:
        self.server.connection_lost(None)
        self.client.connection_lost(None)
