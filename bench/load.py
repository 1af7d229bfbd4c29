"""The visitors: wrk for small requests, curl for bulk. I/O. Bounded in number and time, loopback only."""

from __future__ import annotations

import re
import subprocess
import time
from dataclasses import dataclass

from bench.cases import Case, Head
from bench.machine import Processes, cpu_s
from bench.material import CIPHER, DOWNLOAD_BYTES, HOST, Material
from bench.origin import Origin
from bench.systems import Running

_WARM_S = 0.6
_WINDOW_S = 1.2
_RUN_S = 2  # wrk counts whole seconds; the window lies inside
_BULK_DEADLINE_S = 60
_TIME = re.compile(r"([\d.]+)(us|ms|s|m)$")
_UNIT_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60000.0}

# What Firefox sends for a navigation, cookies included: about 670 bytes.
_BROWSER = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language: en-US,en;q=0.5",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Referer: https://shop.example/catalogue/chairs?page=2&sort=price",
    "Cookie: session=6f1c0d1f8a7b4c0e9d2a3b4c5d6e7f80; theme=dark; consent=eyJ2IjoxLCJhIjp0cnVlfQ; "
    "cart=3fa85f64-5717-4562-b3fc-2c963f66afa6",
    "Upgrade-Insecure-Requests: 1",
    "Sec-Fetch-Dest: document",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Site: same-origin",
    "Sec-Fetch-User: ?1",
    "Priority: u=0, i",
    "Pragma: no-cache",
    "Cache-Control: no-cache",
)
HEADS: dict[Head, tuple[str, ...]] = {"tiny": (), "browser": _BROWSER}


class LoadError(Exception):
    """The load did not run as it should: a figure of it would mean nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One run of one case. CPU is of both sides of the tunnel together."""

    cpu: float | None  # us per request, or CPU-s per GiB; None without a tunnel
    rate: float  # requests/s, or Gbit/s
    p50_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """What wrk reports."""

    p50_ms: float
    p99_ms: float


def read_wrk(text: str) -> Latency:
    """Read wrk's report. Raises LoadError when a request failed, or there is no report."""
    trouble = re.search(r"(Socket errors|Non-2xx).*", text)
    if trouble is not None and not re.fullmatch(
        r"Socket errors: connect 0, read \d+, write 0, timeout 0", trouble[0]
    ):
        raise LoadError(trouble[0])
    return Latency(p50_ms=_percentile(text, "50"), p99_ms=_percentile(text, "99"))


def _percentile(text: str, which: str) -> float:
    line = re.search(rf"^\s*{which}%\s+(\S+)$", text, re.MULTILINE)
    value = _TIME.match(line[1]) if line is not None else None
    if value is None:
        raise LoadError(f"wrk reported no {which}% latency: {text.strip()[:200]}")
    return round(float(value[1]) * _UNIT_MS[value[2]], 4)


class Load:
    """Visitors of any system in front of one origin."""

    def __init__(self, *, processes: Processes, material: Material, origin: Origin) -> None:
        self._processes = processes
        self._material = material
        self._origin = origin

    def run(self, running: Running, case: Case) -> Sample:
        """Run one case. Raises LoadError."""
        if case.mode in ("keep-alive", "new connections"):
            return self._small(running, case)
        return self._bulk(running, case)

    def wrk(
        self, running: Running, *, connections: int, seconds: int, head: Head, close: bool = False
    ) -> subprocess.Popen[bytes]:
        """Start wrk on one thread."""
        lines = HEADS[head] + (("Connection: close",) if close else ())
        command = [
            *("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "10s"),
            *(word for line in lines for word in ("-H", line)),
            f"https://{HOST}:{running.port}/",
        ]
        return self._processes.start("wrk", command, stdout=subprocess.PIPE)

    def curl(
        self, running: Running, *, streams: int, up: bool, rate: str | None = None, again: int = 1
    ) -> subprocess.Popen[bytes]:
        """Start one curl that moves a whole file (16 streams: a sixteenth each), `again` times over."""
        size = DOWNLOAD_BYTES // streams
        base = [
            *("curl", "-sSkf", "--http1.1", "--tls13-ciphers", CIPHER, "--curves", "P-256"),
            *("-Z", "--parallel-max", str(streams), "--parallel-immediate"),
            *("--resolve", f"{HOST}:{running.port}:127.0.0.1", "-m", str(_BULK_DEADLINE_S)),
            *(("--limit-rate", rate) if rate else ()),
        ]
        url = f"https://{HOST}:{running.port}"
        if up:
            one = ["-T", str(self._part(size)), "-H", "Expect:", f"{url}/sink", "-o", "/dev/null"]
        else:
            one = [f"{url}/bulk", "-o", "/dev/null"]
            base += ["-r", f"0-{size - 1}"]
        return self._processes.start("curl", [*base, *one * (streams * again)])

    def _small(self, running: Running, case: Case) -> Sample:
        close = case.mode == "new connections"
        process = self.wrk(running, connections=case.connections, seconds=_RUN_S, head=case.head, close=close)
        time.sleep(_WARM_S)
        before = self._state(running)
        time.sleep(_WINDOW_S)
        after = self._state(running)
        text = process.communicate(timeout=30)[0].decode()
        latency = read_wrk(text)
        requests, seconds = after[0] - before[0], after[2] - before[2]
        if requests < 10:
            raise LoadError(f"{requests} requests in {seconds:.1f} s")
        cpu = None if running.server is None else (after[1] - before[1]) / requests * 1e6
        return Sample(
            cpu=cpu,
            rate=requests / seconds,
            p50_ms=None if close else latency.p50_ms,
            p99_ms=None if close else latency.p99_ms,
        )

    def _bulk(self, running: Running, case: Case) -> Sample:
        before = self._state(running)
        process = self.curl(running, streams=case.connections, up=case.mode == "bulk up")
        status = process.wait(_BULK_DEADLINE_S + 10)
        after = self._state(running)
        if status:
            said = (self._material.logs / "curl.log").read_text().strip().rpartition("\n")[2]
            raise LoadError(f"curl ended with status {status}: {said}")
        gib = DOWNLOAD_BYTES / 2**30
        cpu = None if running.server is None else (after[1] - before[1]) / gib
        return Sample(cpu=cpu, rate=DOWNLOAD_BYTES * 8e-9 / (after[2] - before[2]), p50_ms=None, p99_ms=None)

    def _state(self, running: Running) -> tuple[int, float, float]:
        requests = self._origin.requests()
        cpu = sum(cpu_s(pid) for pid in (running.server, running.client) if pid is not None)
        return requests, cpu, time.monotonic()

    def _part(self, size: int) -> str:
        path = self._material.folder / f"up-{size}"
        if not path.exists():
            with path.open("wb") as file:
                file.truncate(size)
        return str(path)
