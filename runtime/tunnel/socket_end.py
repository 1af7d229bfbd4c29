"""A TCP socket at the end of a stream, copied both ways. I/O.

Half-close is kept; back-pressure is not reading. A byte counts as consumed when the socket it goes
to has room, so a slow reader stops exactly its own stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import TypeAlias, cast

from runtime.limits import Limits
from runtime.sockets import tune
from runtime.tunnel.frames import Chunk, ResetCode
from runtime.tunnel.stream import Far

Connect: TypeAlias = Callable[[Callable[[], asyncio.Protocol]], Awaitable[object]]

_RST_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s


class SocketEnd(asyncio.Protocol):
    """One TCP socket joined to a `Far`; it is the `StreamSink` of what the far side sends."""

    __slots__ = (
        "_active",
        "_ended_in",
        "_ended_out",
        "_far",
        "_greeting",
        "_held",
        "_limits",
        "_loop",
        "_lost",
        "_owed",
        "_paused",
        "_timer",
        "_transport",
        "_writable",
    )

    def __init__(
        self, *, loop: asyncio.AbstractEventLoop, limits: Limits, lost: ResetCode, greeting: bytes = b""
    ) -> None:
        self._loop = loop
        self._limits = limits
        self._lost = lost
        self._greeting = greeting  # ours, before anything of the stream: no credit was spent on it
        self._far: Far | None = None
        self._transport: asyncio.Transport | None = None
        self._held: bytearray | None = None  # what the socket cannot take yet; within the credit
        self._owed = 0  # written to the socket while it had no room: not yet consumed
        self._writable = True
        self._ended_in = False  # the socket will send us no more
        self._ended_out = False  # we will send the socket no more
        self._active = True
        self._paused = False  # kept, because a pause may come before the socket is connected
        self._timer: asyncio.TimerHandle | None = None

    @property
    def joined(self) -> bool:
        """Whether the two sides still have to do with each other."""
        return self._far is not None

    def join(self, far: Far) -> None:
        """Set the other side. Call it once, before any byte moves."""
        self._far = far

    # ------------------------------------------------------------------ from the socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        tune(transport, dead_s=self._limits.unacknowledged_s)
        # What does not fit into the kernel's buffer waits here, in one piece: as chunks of a transport a peer
        # that sends byte by byte would make each cost a hundred.
        self._transport.set_write_buffer_limits(high=0)
        if self._far is None and self._ended_in:  # given up while connecting
            self._transport.abort()
            return
        if self._paused:
            self._loop.call_soon(self._pause_again)  # uvloop begins to read only after this method
        if self._greeting:
            self._transport.write(self._greeting)
        self._write_held()

    def data_received(self, data: bytes) -> None:
        far = self._far
        if far is not None:
            self._active = True
            far.write(data)

    def eof_received(self) -> bool:
        self._ended_in = True
        if self._far is not None:
            self._far.end()
        self._watch()
        # False lets the transport close itself once its buffer is sent.
        return not self._ended_out or self._held is not None

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        owed, self._owed = self._owed, 0
        if owed and self._far is not None:
            self._far.consumed(owed)
        if self._held is not None:
            self._write_held()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._cancel_timer()
        far, self._far = self._far, None
        if far is not None and not (self._ended_in and self._ended_out and exc is None):
            far.reset(self._lost)

    # ------------------------------------------------------------------ from the far side

    def data(self, chunk: Chunk) -> None:
        """See `StreamSink.data`."""
        transport = self._transport
        if transport is None or self._owed:
            if self._held is None:
                self._held = bytearray()
            self._held += chunk
            return
        if transport.is_closing():
            return
        self._active = True
        transport.write(chunk)
        if self._writable:
            if self._far is not None:
                self._far.consumed(len(chunk))
        else:
            self._owed += len(chunk)

    def end(self) -> None:
        """See `StreamSink.end`."""
        self._ended_out = True
        if self._transport is not None and self._held is None:
            self._finish_out()

    def reset(self, code: ResetCode) -> None:
        """See `StreamSink.reset`. The socket gets a TCP reset: a cut must not look like an end."""
        del code
        self._far = None
        self._held = None
        self._ended_in = True
        self._cancel_timer()
        if self._transport is not None:
            abort(self._transport)

    def cut(self, code: ResetCode) -> None:
        """Give up both sides at once, without a word to either."""
        far = self._far
        SocketEnd.reset(self, code)
        if far is not None:
            far.reset(code)

    def pause(self) -> None:
        """See `StreamSink.pause`."""
        self._paused = True
        transport = self._transport
        if transport is not None and not self._ended_in and not transport.is_closing():
            transport.pause_reading()

    def resume(self) -> None:
        """See `StreamSink.resume`. After the end nothing is resumed: asyncio would report the end twice."""
        self._paused = False
        transport = self._transport
        if transport is not None and not self._ended_in and not transport.is_closing():
            transport.resume_reading()

    # ------------------------------------------------------------------ inside

    def _pause_again(self) -> None:
        if self._paused:
            self.pause()

    def _write_held(self) -> None:
        held, self._held = self._held, None
        if held:
            self.data(bytes(held))
        if self._ended_out:
            self._finish_out()

    def _finish_out(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._ended_in:
            transport.close()
        else:
            write_eof(transport)
        self._watch()

    def _watch(self) -> None:
        """From the first end on, something has to move: half-closed sockets may not pile up."""
        if self._timer is None:
            self._active = False
            self._timer = self._loop.call_later(self._limits.half_closed_s, self._check_moved)

    def _check_moved(self) -> None:
        self._timer = None
        if self._active:
            self._watch()
            return
        self.cut(ResetCode.IDLE)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Dialer:
    """The connections under way to origins: one task each, gone as soon as the socket is there."""

    def __init__(self, *, loop: asyncio.AbstractEventLoop, limits: Limits) -> None:
        self._loop = loop
        self._limits = limits
        self._tasks: set[asyncio.Task[None]] = set()

    def dial(self, connect: Connect, end: SocketEnd, far: Far) -> None:
        """Connect `end`, whose far side is `far`; failing that, reset `far` (ORIGIN_UNREACHABLE)."""
        end.join(far)
        task = self._loop.create_task(self._connect(connect, end, far))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def cancel(self) -> None:
        """Give up every connection under way."""
        for task in self._tasks:
            task.cancel()

    async def _connect(self, connect: Connect, end: SocketEnd, far: Far) -> None:
        limit = asyncio.timeout(self._limits.dial_s)
        try:
            async with limit:
                await connect(lambda: end)
        except (OSError, ValueError):  # TimeoutError is an OSError; a host that IDNA refuses, a ValueError
            code = ResetCode.ORIGIN_DEADLINE if limit.expired() else ResetCode.ORIGIN_UNREACHABLE
            end.reset(code)
            far.reset(code)


def write_eof(transport: asyncio.Transport) -> None:
    """Send no more. Never raises: what a peer did to this socket may not reach the stream that ended it."""
    try:
        transport.write_eof()
    except OSError:  # stock asyncio lets ENOTCONN through when the peer has reset
        transport.abort()


def abort(transport: asyncio.Transport) -> None:
    """Close with a TCP reset where there is TCP."""
    sock = cast("socket.socket | None", transport.get_extra_info("socket"))
    if sock is not None and not transport.is_closing():
        with contextlib.suppress(OSError):  # closed by now: nothing left to cut
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
    transport.abort()
