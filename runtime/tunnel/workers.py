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
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from runtime.channel.boot_key import BootKey
from runtime.documents.settings import ServerSettings
from runtime.errors import MalformedError, PeerError, TunnelError
from runtime.limits import Limits
from runtime.tunnel import control
from runtime.tunnel.control import Configure, Counters, Joined, Left, LineSplitter, Message, Ready

log = logging.getLogger("tunnel.workers")
END_DEADLINE_S = 3.0
MAX_DEATHS = 5  # more of them are no accident: the whole process ends, and its supervisor decides
DEATHS_WITHIN_S = 60.0
LATE_REPORTS = 3  # one report comes each second


@dataclass(slots=True)
class Worker:
    """One relay worker as the control process sees it."""

    index: int
    process: asyncio.subprocess.Process
    socket: socket.socket
    unsent: asyncio.Queue[bytes]
    ready: Ready | None = None
    counters: Counters | None = None
    heard: float = 0.0  # monotonic seconds of its last report
    late: int = 0  # reports running in which its loop lagged beyond the limit
    connections: dict[bytes, int] = field(default_factory=dict)  # session -> data connections
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


class WorkerPool:
    """All relay workers of one tunnel server; one that ends unasked is replaced.

    `on_replaced` tells the new one everything it has to know. `died` is set when the pool cannot go on: a
    worker ended during a drain, or workers keep dying.
    """

    def __init__(
        self,
        on_connections: Callable[[bytes], None],
        limits: Limits,
        on_replaced: Callable[[], list[control.ToWorker]] = list,
    ) -> None:
        self._limits = limits
        self._workers: list[Worker] = []
        self._configurations: dict[int, Configure] = {}
        self._on_connections, self._on_replaced = on_connections, on_replaced
        self._known: dict[tuple[int, bytes], asyncio.Future[None]] = {}
        self._closing = False
        self._draining = False
        self._deaths: list[float] = []
        self._tasks: asyncio.TaskGroup | None = None
        self.replaced = 0
        self.died: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def start(self, configurations: list[Configure], tasks: asyncio.TaskGroup) -> list[Ready]:
        """Start one worker per configuration and wait until all listen.

        Raises: TunnelError when one does not come up.
        """
        self._tasks = tasks
        for configuration in configurations:
            self._configurations[configuration.worker] = configuration
            self._workers.append(await self._spawn(configuration, tasks))
        await self._until_ready(self._workers)
        for worker in self._workers:
            self._hold_ports(worker)
        return [worker.ready for worker in self._workers if worker.ready is not None]

    async def _spawn(self, configuration: Configure, tasks: asyncio.TaskGroup) -> Worker:
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
        worker = Worker(configuration.worker, process, ours, asyncio.Queue(self._limits.worker_lines))
        worker.tasks += [tasks.create_task(self._listen(worker)), tasks.create_task(self._send(worker))]
        worker.unsent.put_nowait(control.encode(configuration))
        return worker

    async def _until_ready(self, workers: list[Worker]) -> None:
        try:
            async with asyncio.timeout(self._limits.worker_start_s):
                while any(worker.ready is None for worker in workers):
                    for worker in workers:
                        if worker.process.returncode is not None:
                            message = f"relay worker {worker.index} ended before it listened"
                            raise TunnelError(message)
                    await asyncio.sleep(0.01)
        except TimeoutError as error:
            message = f"the relay workers did not listen within {self._limits.worker_start_s:g} s"
            raise PeerError("worker_start", message) from error

    def _hold_ports(self, worker: Worker) -> None:
        """Keep the ports it got, for whoever replaces it: clients were told them."""
        configuration, ready = self._configurations[worker.index], worker.ready
        if ready is not None:
            visitors = tuple(
                (address, port)
                for (address, _), port in zip(configuration.visitor_listen, ready.visitor_ports, strict=True)
            )
            data = tuple((address, ready.data_port) for address, _ in configuration.data_listen)
            self._configurations[worker.index] = replace(
                configuration, visitor_listen=visitors, data_listen=data
            )

    async def _replace(self, dead: Worker) -> None:
        """Start another in its place and tell it what the others know."""
        now = time.monotonic()
        self._deaths = [*(death for death in self._deaths if now - death < DEATHS_WITHIN_S), now]
        if len(self._deaths) > MAX_DEATHS or self._tasks is None:
            log.error("relay workers keep dying: %d within %g s", len(self._deaths), DEATHS_WITHIN_S)
            self._set_died(dead)
            return
        self._workers.remove(dead)
        for session in dead.connections:
            self._on_connections(session)
        await self._let_go(dead)
        try:
            fresh = await self._spawn(self._configurations[dead.index], self._tasks)
            self._workers.append(fresh)
            self._workers.sort(key=lambda worker: worker.index)
            for message in self._on_replaced():  # it takes them once it listens
                fresh.unsent.put_nowait(control.encode(message))
            await self._until_ready([fresh])
        except (TunnelError, OSError) as error:
            log.error("relay worker %d cannot be replaced: %s", dead.index, error)  # noqa: TRY400 - said in full
            self._set_died(dead)
            return
        self.replaced += 1
        log.warning("relay worker %d was replaced", dead.index)

    def _set_died(self, worker: Worker) -> None:
        if not self.died.done():
            self.died.set_result(worker.index)

    def answering(self) -> bool:
        """Tell whether every worker has reported lately."""
        now = time.monotonic()
        return bool(self._workers) and all(
            now - worker.heard < self._limits.worker_silent_s for worker in self._workers
        )

    def expect_end(self) -> None:
        """From now on workers end because they were asked to."""
        self._draining = True

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
                log.error(  # noqa: TRY400 - it has no stack worth telling
                    "relay worker %d: %d messages wait for it; killed",
                    worker.index, worker.unsent.qsize(), extra=_code("worker_backlog"),
                )  # fmt: skip
                _kill(worker)

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
            late = f"a relay worker did not take the session within {self._limits.worker_take_s:g} s"
            raise PeerError("worker_stuck", f"{late} (worker_take_s)") from error
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
            await _end(worker)
            await self._let_go(worker)

    async def _let_go(self, worker: Worker) -> None:
        current = asyncio.current_task()
        others = [task for task in worker.tasks if task is not current]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        worker.socket.close()

    async def _send(self, worker: Worker) -> None:
        """The one writer of a worker's socket: whoever tells may be cancelled, half a line never goes out."""
        loop = asyncio.get_running_loop()
        while True:
            line = await worker.unsent.get()
            with contextlib.suppress(OSError):  # it is gone: whoever listens to it notices
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
            extra = _code("worker_silent")
            log.error("relay worker %d: silent for %g s, killed", worker.index, silent_s, extra=extra)  # noqa: TRY400
            _kill(worker)
        except (OSError, MalformedError) as error:
            if not self._closing:
                log.error("relay worker %d: %s", worker.index, error)  # noqa: TRY400 - no stack: it is the peer's
            if isinstance(error, MalformedError):
                _kill(worker)
        if not self._closing:
            await self._ended(worker)

    async def _ended(self, worker: Worker) -> None:
        await _end(worker)
        if self._draining or worker not in self._workers:  # or never came up: `start` says so
            self._set_died(worker)
        elif worker.ready is None or self._closing:
            return
        else:
            await self._replace(worker)

    def _watch_lag(self, worker: Worker, counters: Counters) -> None:
        limit_s = self._limits.worker_lag_s
        worker.late = worker.late + 1 if counters.lag_s > limit_s else 0
        if worker.late >= LATE_REPORTS:
            log.error(
                "relay worker %d: its loop lags by %.1f s, want at most %g s; killed",
                worker.index, counters.lag_s, limit_s, extra=_code("worker_lagging"),
            )  # fmt: skip
            _kill(worker)

    def _take(self, worker: Worker, message: Message) -> None:
        match message:
            case Ready():
                worker.ready = message
                worker.heard = time.monotonic()
            case Counters():
                worker.counters = message
                worker.heard = time.monotonic()
                self._watch_lag(worker, message)
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


def configurations(
    settings: ServerSettings, *, key: BootKey, limits: Limits, tunnel_name: str, tunnel_name_socket: str
) -> list[Configure]:
    """Return what each worker of a server is to be told first; `key` is the data key."""
    return [
        Configure(
            worker=index,
            visitor_listen=tuple((address, settings.visitors_port) for address in settings.listen),
            data_listen=tuple((address, settings.data_port + index) for address in settings.listen),
            certificate_pem=key.certificate_pem,
            key_pem=key.key_pem,
            tunnel_name=tunnel_name,
            tunnel_name_socket=tunnel_name_socket,
            limits=limits,
            access_log=settings.access_log,
        )
        for index in range(settings.workers)
    ]


async def _end(worker: Worker) -> None:
    """Wait for its end: it has the last lines of its log to write after its socket; kill it if it hangs."""
    try:
        async with asyncio.timeout(END_DEADLINE_S):
            await worker.process.wait()
    except TimeoutError:
        _kill(worker)
        await worker.process.wait()


def _kill(worker: Worker) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has ended, and whoever listens to it is about to see
        worker.process.kill()


def _code(code: str) -> dict[str, object]:
    return {"fields": {"code": code}}
