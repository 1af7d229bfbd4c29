"""Carry many streams over one transport: who may open, what arrives, and how it ends; no task anywhere. I/O.

Only the server opens streams. A peer that breaks a rule costs its own connection and nothing else. What is
sent, and in which order, is `turn`'s; what a stream may send and hold, `stream`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias, cast

from runtime.errors import MalformedError, PeerError
from runtime.limits import Limits
from runtime.sockets import tune
from runtime.tunnel.frames import (
    MAX_STREAM,
    Chunk,
    CloseCode,
    Decoder,
    FrameError,
    FrameType,
    OpenRequest,
    ResetCode,
    frame,
    goaway,
    read_close,
    read_credit,
    read_reset,
    reset,
)
from runtime.tunnel.join import Terms
from runtime.tunnel.stream import Stream, StreamSink
from runtime.tunnel.turn import Turn

_LINGER_S = 1.0  # what a closing connection gets to deliver its last frame
_DATA, _END = int(FrameType.DATA), int(FrameType.END)

Accept: TypeAlias = Callable[[Stream, OpenRequest], StreamSink | ResetCode]
OnClosed: TypeAlias = Callable[["Mux", PeerError | None], None]


class Mux(asyncio.Protocol):
    """One data connection that has joined. With `accept` it is the client's end, without the server's."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        accept: Accept | None,
        on_closed: OnClosed,
        on_going: Callable[[Mux], None] | None = None,
    ) -> None:
        self.limits = limits
        self.received_bytes = 0
        self._loop = loop
        self._accept = accept
        self._on_closed: OnClosed | None = on_closed
        self._on_going = on_going  # told when the peer wants no new streams
        self._transport: asyncio.Transport | None = None
        self._decoder = Decoder()
        self._streams: dict[int, Stream] = {}
        self._last = 0  # the highest stream ever opened
        self._turn = Turn(loop=loop, limits=limits, on_forget=self._forget, on_stalled=self._stalled)
        self._closing = False
        self._going = self._peer_going = False
        self._error: PeerError | None = None
        self._heard_at = 0.0  # of the loop's clock
        self._timer: asyncio.TimerHandle | None = None

    # ------------------------------------------------------------------ for the owner

    @property
    def peer(self) -> Terms:
        """What the peer takes."""
        return self._turn.peer

    @peer.setter
    def peer(self, terms: Terms) -> None:
        """Take what it said when it joined, before any stream."""
        self._turn.peer = terms

    @property
    def sent_bytes(self) -> int:
        """Frame bytes since the join."""
        return self._turn.sent_bytes

    @property
    def streams(self) -> int:
        """Count the streams open now."""
        return len(self._streams)

    def sinks(self) -> list[StreamSink]:
        """List what the streams that are open now end in."""
        return [stream.sink for stream in self._streams.values() if stream.sink is not None]

    @property
    def can_open(self) -> bool:
        """Whether `open` would be allowed now."""
        full = len(self._streams) >= min(self.limits.max_streams, self.peer.streams)
        return not (full or self.going or self._transport is None)

    @property
    def going(self) -> bool:
        """Whether no stream will ever be opened again."""
        return self._closing or self._going or self._peer_going or self._last >= MAX_STREAM

    @property
    def backlog(self) -> int:
        """Streams that wait to send, for choosing among connections."""
        return self._turn.waiting

    def open(self, request: OpenRequest, sink: StreamSink) -> Stream:
        """Open a stream whose first bytes travel with it. Raises PeerError when `can_open` is false."""
        if self._accept is not None or not self.can_open:
            raise PeerError("not_open", "this data connection opens no streams now")
        self._last += 1
        stream = Stream(self._turn, self._last, sent=len(request.first))
        stream.attach(sink)
        self._streams[self._last] = stream
        self._turn.send_control(frame(FrameType.OPEN, self._last, request.encode()))
        return stream

    def goaway(self) -> None:
        """Let no new streams begin; close when the last one ends and the peer has agreed."""
        if not self._going and not self._closing:
            self._going = True
            self._turn.send_control(goaway(CloseCode.DRAIN))
            self._close_if_idle()

    def close(self, code: CloseCode, detail: str) -> None:
        """Cut every stream, tell the peer why, close."""
        if self._closing:
            return
        self._error = PeerError(code.name.lower(), detail)
        self._leave(ResetCode.CONNECTION_LOST, goaway(code))

    def cut(self) -> None:
        """Cut every stream because a drain is over, tell the peer of each, close."""
        if not self._closing:
            resets = [reset(stream, ResetCode.DRAINED) for stream in self._streams]
            self._leave(ResetCode.DRAINED, b"".join((*resets, goaway(CloseCode.DRAIN))))

    def abort(self) -> None:
        """Cut every stream and the connection at once; nothing more is sent."""
        self._cut(ResetCode.CONNECTION_LOST)
        if self._transport is not None:
            self._transport.abort()

    def _leave(self, code: ResetCode, last_frames: bytes) -> None:
        self._turn.write_out()
        self._cut(code)
        transport = self._transport
        if transport is not None:
            transport.write(last_frames)
            transport.close()
            self._loop.call_later(_LINGER_S, transport.abort)

    # ------------------------------------------------------------------ for the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        tune(transport, dead_s=self.limits.silent_s)
        self._heard_at = self._loop.time()
        self._timer = self._loop.call_later(self.limits.ping_s, self._tick)
        self._turn.begin(self._transport)

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        self._heard_at = self._loop.time()
        self.received_bytes += len(data)
        try:
            self._decoder.feed(data, self._on_frame)
        except FrameError as error:
            self.close(error.close, error.detail)

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._turn.pause()

    def resume_writing(self) -> None:
        self._turn.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._cut(ResetCode.CONNECTION_LOST)
        self._transport = None
        self._turn.lost()
        callback, self._on_closed = self._on_closed, None
        if callback is not None:
            lost = None if exc is None else PeerError("connection_lost", type(exc).__name__)
            callback(self, self._error or lost)

    # ------------------------------------------------------------------ receiving

    def _on_frame(self, kind: int, stream_id: int, payload: Chunk) -> None:
        if self._closing:
            return  # a sink closed us in the middle of what arrived
        if kind in (_DATA, _END):
            stream = self._streams.get(stream_id)
            if stream is None:
                self._check_known(stream_id)
            else:
                stream.received(payload, last=kind == _END)
        else:
            self._on_rare_frame(kind, stream_id, payload)

    def _on_rare_frame(self, kind: int, stream_id: int, payload: Chunk) -> None:
        match kind:
            case FrameType.WINDOW:
                credit = read_credit(payload)
                self._check_known(stream_id)
                if stream_id in self._streams:
                    self._streams[stream_id].credited(credit)
            case FrameType.RST:
                self._check_known(stream_id)
                self._on_reset(stream_id, read_reset(payload))
            case FrameType.PING:
                self._turn.send_control(frame(FrameType.PONG, 0, bytes(payload)))
            case FrameType.PONG:
                pass  # having been heard is all that counts
            case FrameType.GOAWAY:
                self._on_goaway(read_close(payload))
            case FrameType.OPEN:
                self._on_open(stream_id, payload)
            case _:
                raise FrameError(CloseCode.FRAME_UNEXPECTED, f"type {kind} after the join")

    def _check_known(self, stream_id: int) -> None:
        """Frames of a stream that has just ended are in order, those of one that never was are not."""
        if stream_id > self._last:
            raise FrameError(CloseCode.STREAM_UNKNOWN, f"stream {stream_id} was never opened")

    def _on_reset(self, stream_id: int, code: ResetCode) -> None:
        stream = self._streams.get(stream_id)
        if stream is not None:
            sink = stream.detach(code)
            if sink is not None:
                sink.reset(code)
            self._forget(stream_id)

    def _on_goaway(self, code: CloseCode) -> None:
        self._peer_going = True
        if code is not CloseCode.DRAIN:
            self._error = PeerError(code.name.lower(), "the peer closes the connection", remote=True)
            self.abort()
            return
        if self._on_going is not None:
            self._on_going(self)
        self.goaway()
        self._close_if_idle()

    def _on_open(self, stream_id: int, payload: Chunk) -> None:
        if self._accept is None:
            raise FrameError(CloseCode.FRAME_UNEXPECTED, "only the server opens streams")
        if self._peer_going:
            raise FrameError(CloseCode.OPEN_AFTER_GOAWAY, f"stream {stream_id} opened after GOAWAY")
        if stream_id <= self._last:
            raise FrameError(CloseCode.STREAM_REUSED, f"stream {stream_id} after {self._last}")
        if len(self._streams) >= self.limits.max_streams:
            raise FrameError(CloseCode.TOO_MANY_STREAMS, f"more than {self.limits.max_streams} streams")
        try:
            request = OpenRequest.decode(payload)
        except MalformedError as error:
            raise FrameError(CloseCode.OPEN_MALFORMED, str(error)) from error
        self._last = stream_id
        stream = Stream(self._turn, stream_id, received=len(request.first))
        self._streams[stream_id] = stream
        sink = self._accept(stream, request)
        if isinstance(sink, ResetCode):
            stream.reset(sink)
            return
        stream.attach(sink)
        if request.first:
            sink.data(request.first)

    # ------------------------------------------------------------------ the end

    def _tick(self) -> None:
        self._timer = None
        if self._closing:
            return
        ping_s, silent_s = self.limits.ping_s, self.limits.silent_s
        silence = self._loop.time() - self._heard_at
        if silence >= silent_s:
            self._error = PeerError("silent", f"nothing heard for {silence:.0f} s (silent_s)")
            self.abort()
            return
        if silence >= ping_s:
            self._turn.send_control(frame(FrameType.PING, 0, bytes(8)))
        # The next look is when there may be something to ask, and never later than the end of patience.
        due = ping_s - silence if silence < ping_s else min(ping_s, silent_s - silence)
        self._timer = self._loop.call_later(due, self._tick)

    def _forget(self, stream: int) -> None:
        """Take a stream that is over from the table."""
        self._streams.pop(stream, None)
        self._close_if_idle()

    def _stalled(self, waiting: int) -> None:
        if not self._closing:
            self._error = PeerError(
                "stalled", f"{waiting} bytes wait for a peer that does not read (high_water, stalled_bytes)"
            )
            self.abort()

    def _close_if_idle(self) -> None:
        if self._going and self._peer_going and not self._streams and not self._closing:
            self._turn.write_out()
            self._closing = True
            self._turn.end()
            if self._transport is not None:
                self._transport.close()

    def _cut(self, code: ResetCode) -> None:
        self._closing = True
        self._turn.end()
        streams, self._streams = self._streams, {}
        why = code if self._error is None else self._error.code
        for stream in streams.values():
            sink = stream.detach(why)
            if sink is not None:
                sink.reset(code)
