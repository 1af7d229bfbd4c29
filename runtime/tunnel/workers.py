"""The control process's side of its relay workers: start them, tell them, hear from them. I/O.

A worker holds no secret of the fleet but the join secrets of live sessions. It dies with the socket
pair, so a control process that is killed takes its listeners and streams with it at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from runtime.errors import MalformedError, TunnelError
from runtime.limits import Limits
from runtime.tunnel import control
from runtime.tunnel.control import Configure, Counters, Joined, Left, LineSplitter, Message, Ready

log = logging.getLogger("tunnel.workers")
END_DEADLINE_S = 3.0


@dataclass(slots=True)
class Worker:
    """One relay worker as the control process sees it."""

    index: int
    process: asyncio.subprocess.Process
    socket: socket.socket
    unsent: asyncio.Queue[bytes]
    ready: Ready | None = None
    counters: Counters | None = None
    connections: dict[bytes, int] = field(default_factory=dict)  # session -> data connections
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


class WorkerPool:
    """All relay workers of one tunnel server. `died` is set when one of them ends unasked."""

    def __init__(self, on_connections: Callable[[bytes], None], limits: Limits) -> None:
        self._limits = limits
        self._workers: list[Worker] = []
        self._on_connections = on_connections
        self._known: dict[tuple[int, bytes], asyncio.Future[None]] = {}
        self._closing = False
        self.died: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def start(self, configurations: list[Configure], tasks: asyncio.TaskGroup) -> list[Ready]:
        """Start one worker per configuration and wait until all listen.

        Raises: TunnelError when one does not come up.
        """
        for configuration in configurations:
            ours, theirs = socket.socketpair()
            ours.settimeout(0)
            try:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "runtime.tunnel.worker", "--control-fd", str(theirs.fileno()),
                    pass_fds=[theirs.fileno()], stdin=asyncio.subprocess.DEVNULL,
                )  # fmt: skip
            except BaseException:
                ours.close()
                raise
            finally:
                theirs.close()
            unsent: asyncio.Queue[bytes] = asyncio.Queue(self._limits.worker_lines)
            worker = Worker(configuration.worker, process, ours, unsent)
            self._workers.append(worker)
            worker.tasks += [tasks.create_task(self._listen(worker)), tasks.create_task(self._send(worker))]
            await worker.unsent.put(control.encode(configuration))
        try:
            async with asyncio.timeout(self._limits.worker_start_s):
                while any(worker.ready is None for worker in self._workers):
                    if self.died.done():
                        message = f"relay worker {self.died.result()} ended before it listened"
                        raise TunnelError(message)
                    await asyncio.sleep(0.01)
        except TimeoutError as error:
            message = f"the relay workers did not listen within {self._limits.worker_start_s:g} s"
            raise TunnelError(message) from error
        return [worker.ready for worker in self._workers if worker.ready is not None]

    async def tell(self, message: control.ToWorker) -> None:
        """Send to every worker; a worker that is gone is noticed elsewhere."""
        self.tell_now(message)

    def tell_now(self, message: control.ToWorker) -> None:
        """Send to every worker, in the order told."""
        line = control.encode(message)
        for worker in self._workers:
            try:
                worker.unsent.put_nowait(line)
            except asyncio.QueueFull:  # it reads nothing: the others must hear of a revocation all the same
                worker.process.kill()

    async def ended(self, deadline_s: float) -> None:
        """Wait until every worker has ended by itself, as after a drain, but not longer."""
        waiting = [worker.process.wait() for worker in self._workers]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                await asyncio.gather(*waiting)

    async def announce(self, session: control.Session) -> None:
        """Tell every worker of a session and wait until all know it: only then may the client join."""
        loop = asyncio.get_running_loop()
        waiting = [
            self._known.setdefault((worker.index, session.session), loop.create_future())
            for worker in self._workers
        ]
        try:
            async with asyncio.timeout(self._limits.worker_take_s):
                await self.tell(session)
                await asyncio.gather(*waiting)
        except TimeoutError as error:
            message = "a relay worker did not take the session"
            raise TunnelError(message) from error
        finally:
            for worker in self._workers:
                self._known.pop((worker.index, session.session), None)

    def connections(self, session: bytes) -> int:
        """Return how many data connections of the session have joined, over all workers."""
        return sum(worker.connections.get(session, 0) for worker in self._workers)

    def counters(self) -> list[tuple[int, Counters]]:
        """Return each worker's latest counters."""
        return [(worker.index, worker.counters) for worker in self._workers if worker.counters is not None]

    async def close(self) -> None:
        """End every worker and wait for it."""
        self._closing = True
        for worker in self._workers:
            with contextlib.suppress(OSError):
                worker.socket.shutdown(socket.SHUT_RDWR)  # to the worker this is the end
        for worker in self._workers:
            try:
                async with asyncio.timeout(END_DEADLINE_S):
                    await worker.process.wait()
            except TimeoutError:
                worker.process.kill()
                await worker.process.wait()
            for task in worker.tasks:
                task.cancel()
            await asyncio.gather(*worker.tasks, return_exceptions=True)
            worker.socket.close()

    async def _send(self, worker: Worker) -> None:
        """The one writer of a worker's socket: whoever tells may be cancelled, half a line never goes out."""
        loop = asyncio.get_running_loop()
        while True:
            line = await worker.unsent.get()
            with contextlib.suppress(OSError):
                await loop.sock_sendall(worker.socket, line)

    async def _listen(self, worker: Worker) -> None:
        splitter = LineSplitter()
        loop = asyncio.get_running_loop()
        try:
            while True:
                # It tells its counters every second: one that is silent is frozen, and visitors would wait.
                async with asyncio.timeout(
                    self._limits.worker_silent_s if worker.ready is not None else None
                ):
                    data = await loop.sock_recv(worker.socket, control.MAX_LINE)
                if not data:
                    break
                for line in splitter.feed(data):
                    self._take(worker, control.decode(line))
        except TimeoutError:
            silent_s = self._limits.worker_silent_s
            log.error("relay worker %d: said nothing for %g s, killed", worker.index, silent_s)  # noqa: TRY400
            worker.process.kill()
        except (OSError, MalformedError) as error:
            if not self._closing:
                log.error("relay worker %d: %s", worker.index, error)  # noqa: TRY400 - no stack: it is the peer's
        if not self._closing and not self.died.done():
            self.died.set_result(worker.index)

    def _take(self, worker: Worker, message: Message) -> None:
        match message:
            case Ready():
                worker.ready = message
            case Counters():
                worker.counters = message
            case (
                Joined(session=session, connections=connections)
                | Left(session=session, connections=connections)
            ):
                worker.connections[session] = connections
                if not connections:
                    del worker.connections[session]
                known = self._known.get((worker.index, session))
                if known is not None and not known.done():
                    known.set_result(None)
                self._on_connections(session)
            case _:
                raise MalformedError("control message", f"{type(message).__name__} from a worker")
