"""The relay process of a tunnel server: `python -m runtime.tunnel.worker --control-fd N`. I/O.

It does what its control process says over a socketpair, and lives no longer than that: when the
control socket ends, for whatever reason, everything is closed and the process exits.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import resource
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias, cast

from runtime import event_loop, logs
from runtime.errors import MalformedError, TunnelError
from runtime.tunnel import access_log
from runtime.tunnel.admission import Admission
from runtime.tunnel.control import (
    Configure,
    Counters,
    Drain,
    End,
    FromWorker,
    Grant,
    Joined,
    Left,
    LineSplitter,
    Message,
    Ready,
    Session,
    decode,
    encode,
)
from runtime.tunnel.data_tls import certificate_digest, server_context
from runtime.tunnel.doors import BACKLOG, Address, Doors, bind
from runtime.tunnel.loop_lag import LoopLag
from runtime.tunnel.switchboard import Switchboard

Tell: TypeAlias = Callable[[FromWorker], None]

_REPORT_S = 1.0
_TELL_S = 0.2  # what peers get to hear why their streams were cut
_IDLE_POLL_S = 0.05  # how soon a drain notices that everybody has left


class Worker:
    """Listeners and a switchboard. `stopped` is done when a drain has ended."""

    def __init__(self, *, loop: asyncio.AbstractEventLoop, tell: Tell) -> None:
        self.stopped: asyncio.Future[None] = loop.create_future()
        self.failure: TunnelError | None = None
        self._loop = loop
        self._tell = tell
        self._board: Switchboard | None = None
        self._drain_s = 0.0
        self._doors: Doors | None = None
        self._admission: Admission | None = None
        self._draining: asyncio.Task[None] | None = None
        self._reporting: asyncio.TimerHandle | None = None
        self._lag = LoopLag(loop)

    async def configure(self, message: Configure) -> None:
        """Open the listeners and say `Ready`. Raises UsageError or UnreachableError."""
        if self._board is not None:
            raise MalformedError("configure", "the worker is configured already")
        context = server_context(message.certificate_pem, message.key_pem)
        board = self._board = Switchboard(
            loop=self._loop,
            limits=message.limits,
            worker=message.worker,
            certificate_sha256=certificate_digest(message.certificate_pem),
            tunnel_name=message.tunnel_name,
            tunnel_name_socket=message.tunnel_name_socket,
            tell=self._tell,
            on_serving=self._serving,
            access=access_log.of(message.access_log, self._loop.time),
        )
        doors = self._doors = Doors(loop=self._loop, visitor=board.visitor, failed=self.fail)
        self._drain_s = message.limits.drain_s
        admission = self._admission = Admission(
            loop=self._loop, limits=message.limits, context=context, board=board
        )
        data_port = _listen_for_data(admission, message.data_listen)
        ports = doors.bind(message.visitor_listen)
        self._tell(Ready(visitor_ports=ports, data_port=data_port))
        self._lag.start()
        self._report_again()
        gc.collect()
        gc.freeze()  # what exists now lives as long as the process: the collector need not walk it

    def _serving(self, serving: bool) -> None:  # noqa: FBT001 - a callback's only argument
        if self._doors is not None:
            self._doors.set_open(serving)

    def apply(self, message: Message) -> None:
        """Do what the control process says, `Configure` excepted. Raises MalformedError."""
        if isinstance(message, Drain):
            self.drain(message.deadline_s)
            return
        if self._board is None:
            raise MalformedError("control message", "came before configure")
        match message:
            case Session():
                self._board.set_session(message)
            case Grant():
                self._board.grant(message)
            case End():
                self._board.end(message)
            case Configure() | Ready() | Joined() | Left() | Counters():
                raise MalformedError("control message", f"{type(message).__name__} cannot be applied")

    def drain(self, deadline_s: float | None = None) -> None:
        """Refuse new visitors at once, wait for the present ones, then stop."""
        if self._draining is None:
            seconds = self._drain_s if deadline_s is None else deadline_s
            self._draining = self._loop.create_task(self._drain(seconds))

    def fail(self, error: TunnelError) -> None:
        """Close everything, and keep the first error as the reason."""
        self.failure = self.failure or error
        self.close()

    def close(self) -> None:
        """Close every socket now."""
        if self._draining is not None:
            self._draining.cancel()
        if self._reporting is not None:
            self._reporting.cancel()
        self._lag.stop()
        self._close_listeners()
        if self._admission is not None:
            self._admission.cut()
        if self._board is not None:
            self._board.cut()
        if not self.stopped.done():
            self.stopped.set_result(None)

    async def _drain(self, deadline_s: float) -> None:
        stop = self._loop.time() + deadline_s
        if self._doors is not None:
            await self._doors.drain()
        board = self._board
        if board is not None:
            # Who is in has a connection and no stream yet: its routes stay until it has said where it goes.
            while board.reading and self._loop.time() < stop:  # noqa: ASYNC110 - an event would cost each visitor
                await asyncio.sleep(_IDLE_POLL_S)
            board.goaway()
            while not board.idle and self._loop.time() < stop:  # noqa: ASYNC110 - the same
                await asyncio.sleep(_IDLE_POLL_S)
            if not board.idle:
                board.end_drain()
                await asyncio.sleep(_TELL_S)  # for the reason to leave this process
            self._report(board)
        self._draining = None
        self.close()

    def _close_listeners(self) -> None:
        if self._doors is not None:
            self._doors.close()
        if self._admission is not None:
            self._admission.close()

    def _report_again(self) -> None:
        if self._board is not None:
            self._report(self._board)
        self._reporting = self._loop.call_later(_REPORT_S, self._report_again)

    def _report(self, board: Switchboard) -> None:
        """Tell the counters; with more members than a line holds, the totals alone."""
        counters = board.counters(lag_s=self._lag.take())
        try:
            self._tell(counters)
        except MalformedError:
            self._tell(replace(counters, opened={}, received={}, sent={}))


def _listen_for_data(admission: Admission, addresses: tuple[Address, ...]) -> int:
    """Listen on one port of every address; returns the port. Raises UnreachableError."""
    port = addresses[0][1]
    for address, _ in addresses:
        sock = bind((address, port), shared=False)
        port = cast("int", sock.getsockname()[1])  # where 0 was asked for, the others take the same
        admission.listen(sock, BACKLOG)
    return port


class ControlLink(asyncio.Protocol):
    """The worker's end of the socketpair."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.worker = Worker(loop=loop, tell=self._tell)
        self._loop = loop
        self._lines = LineSplitter()
        self._transport: asyncio.Transport | None = None
        self._waiting: list[Message] = []  # messages behind a configure that is under way
        self._configuring: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            for line in self._lines.feed(data):
                self._take(decode(line))
        except TunnelError as error:
            self.worker.fail(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.worker.close()

    def _take(self, message: Message) -> None:
        if self._configuring is not None:
            self._waiting.append(message)
        elif isinstance(message, Configure):
            self._configuring = self._loop.create_task(self._configure(message))
        else:
            self.worker.apply(message)

    async def _configure(self, message: Configure) -> None:
        try:
            await self.worker.configure(message)
            waiting, self._waiting, self._configuring = self._waiting, [], None
            for late in waiting:
                self._take(late)
        except TunnelError as error:
            self.worker.fail(error)

    def _tell(self, message: FromWorker) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(encode(message))


def raise_descriptor_limit() -> None:
    """Use all the descriptors the machine allows: each visitor takes one, and 1,024 is the usual start."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def run(control: socket.socket) -> int:
    """Serve until the control socket ends, or a drain does. Returns the exit status."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_on_loop_error)
    link = ControlLink(loop)
    control.settimeout(0)
    transport, _ = await loop.create_unix_connection(lambda: link, sock=control)
    for number in (signal.SIGTERM, signal.SIGINT):  # Ctrl-C reaches the whole process group
        loop.add_signal_handler(number, link.worker.drain)
    await link.worker.stopped
    transport.close()
    if link.worker.failure is not None:
        sys.stderr.write(f"worker: {link.worker.failure}\n")
        return link.worker.failure.exit_status
    return 0


def _on_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # aiofastnet reports a stranger who leaves in the middle of the handshake, as a class: nobody's error.
    if context.get("exception") is not ConnectionResetError:
        loop.default_exception_handler(context)


def main(arguments: list[str] | None = None) -> int:
    """Run the process; uvloop when it is there."""
    parser = argparse.ArgumentParser(prog="runtime.tunnel.worker", description=__doc__)
    parser.add_argument("--control-fd", type=int, required=True)
    options = parser.parse_args(arguments)
    control = socket.socket(fileno=options.control_fd)
    logs.to_stderr()
    raise_descriptor_limit()
    with asyncio.Runner(loop_factory=event_loop.factory()) as runner:
        return runner.run(run(control))


if __name__ == "__main__":
    sys.exit(main())
