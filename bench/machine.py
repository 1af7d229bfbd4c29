"""Processes the bench starts, and what /proc says they cost. I/O.

Only CPU time and memory of processes started here are ever counted, and only those are ever ended.
"""

from __future__ import annotations

import contextlib
import os
import platform
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

_TICKS = os.sysconf("SC_CLK_TCK")
_END_S = 3.0
_PROC = Path("/proc")


class NotStartedError(Exception):
    """A process ended, or did not answer, before it could be measured."""


class Processes:
    """Everything started for one purpose; all of it ends with the `with` block."""

    def __init__(self, *, log: Path, environment: Mapping[str, str]) -> None:
        self._log = log
        self._environment = {**os.environ, **environment}
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        stdout: int | IO[bytes] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> subprocess.Popen[bytes]:
        """Start a command whose stderr (and stdout, unless told otherwise) goes to a log file."""
        with (self._log / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - a list, no shell, and the commands are our own
                command,
                stdin=stdin,
                stdout=log if stdout is None else stdout,
                stderr=log,
                env=self._environment,
                pass_fds=tuple(pass_fds),
            )
        self._running.append(process)
        return process

    def end(self) -> None:
        """End what was started, the newest first."""
        for process in reversed(self._running):
            if process.poll() is None:
                process.terminate()
        for process in reversed(self._running):
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()
        self._running.clear()


def output(command: Sequence[str]) -> str:
    """Return what a short command says on stdout and stderr."""
    done = subprocess.run(  # noqa: S603 - as above
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=30
    )
    return done.stdout.decode(errors="replace")


def tree(root: int) -> list[int]:
    """List a process and its descendants."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int(_stat(int(entry.name))[1])
                children.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for pid in found:  # grows while it is walked
        found.extend(children.get(pid, ()))
    return found


def cpu_s(root: int) -> float:
    """Return utime + stime of a process tree in seconds, to a hundredth."""
    total = 0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            fields = _stat(pid)
            total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def pss_kib(root: int) -> int:
    """Return the proportional set size of a process tree in KiB."""
    total = 0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total


def _stat(pid: int) -> list[str]:
    # The fields behind the command's name, which may hold spaces: state, ppid, ... (proc(5)).
    return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def free_port() -> int:
    """Return a loopback port that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def wait_for_port(port: int, process: subprocess.Popen[bytes], *, deadline_s: float = 15.0) -> None:
    """Wait until something listens. Raises NotStartedError."""
    stop = time.monotonic() + deadline_s
    while time.monotonic() < stop:
        if process.poll() is not None:
            break
        with socket.socket() as sock:
            sock.settimeout(1)
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise NotStartedError(f"{process.args!r}: nothing listens on port {port} (exit {process.poll()})")


def description() -> dict[str, str | int]:
    """Say what the figures were measured on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "cpu": model,
        "cores": os.cpu_count() or 0,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def load_average() -> float:
    """Return the load average of the last minute."""
    return round(os.getloadavg()[0], 2)
