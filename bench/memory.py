"""What held connections cost in memory, and what a slow reader costs the others. I/O."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass

from bench.load import Load, LoadError, read_wrk
from bench.machine import Processes, pss_kib
from bench.systems import Running

IDLE = 1000
STALLED = 32
_SETTLE_S = 1.0
_PATIENCE = 10
_STILL_KIB = 128
_SMALL_CONNECTIONS = 8
_SMALL_S = 2
_PACE = "4M"  # bytes/s of each of the 16 bulk streams: about half a Gbit/s in all


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """KiB of PSS that each held connection adds, per side."""

    server_kib: float
    client_kib: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowReader:
    """p99 of small requests on 8 connections: alone, and beside 1 stalled + 16 bulk streams."""

    alone_ms: float
    beside_ms: float


@contextlib.contextmanager
def _holding(processes: Processes, running: Running, count: int, how: str) -> Generator[None]:
    process = processes.start(
        "hold",
        [sys.executable, "-m", "bench.hold", str(running.port), str(count), how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    if process.stdout.readline() != b"held\n":
        raise LoadError(f"could not hold {count} {how} connections")
    try:
        yield
    finally:
        process.stdin.close()
        process.wait(30)


def held(processes: Processes, running: Running, *, count: int, how: str) -> Held:
    """Measure `idle` or `stalled` connections; the process should be fresh. Raises LoadError."""
    assert running.server is not None
    assert running.client is not None
    with _holding(
        processes, running, 4, "idle"
    ):  # what the first connection ever loads is not per connection
        pass
    time.sleep(_SETTLE_S)
    before = pss_kib(running.server), pss_kib(running.client)
    with _holding(processes, running, count, how):
        after = _still(running.server, running.client)
    return Held(server_kib=(after[0] - before[0]) / count, client_kib=(after[1] - before[1]) / count)


def slow_reader(processes: Processes, load: Load, running: Running, *, rounds: int) -> SlowReader:
    """Measure small requests alone, then beside one stalled reader and 16 bulk streams, in turn."""
    alone: list[float] = []
    beside: list[float] = []
    for _ in range(rounds):
        alone.append(_small_p99(load, running))
        with _holding(processes, running, 1, "stalled"):
            bulk = load.curl(running, streams=16, up=False, rate=_PACE, again=2)
            time.sleep(0.5)
            beside.append(_small_p99(load, running))
            bulk.terminate()
            bulk.wait(10)
    return SlowReader(alone_ms=statistics.median(alone), beside_ms=statistics.median(beside))


def _still(server: int, client: int) -> tuple[int, int]:
    """Wait until neither side grows any more; a stalled stream fills its credit first."""
    before = (-1, -1)
    for _ in range(_PATIENCE):
        time.sleep(_SETTLE_S)
        now = pss_kib(server), pss_kib(client)
        if max(abs(now[0] - before[0]), abs(now[1] - before[1])) < _STILL_KIB:
            return now
        before = now
    return before


def _small_p99(load: Load, running: Running) -> float:
    process = load.wrk(running, connections=_SMALL_CONNECTIONS, seconds=_SMALL_S, head="browser")
    return read_wrk(process.communicate(timeout=60)[0].decode()).p99_ms
