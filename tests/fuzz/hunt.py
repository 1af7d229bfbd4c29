"""Hunt in one target: atheris makes inputs, guided by the branches they reach in `runtime`. I/O: one process.

Run by `tests.fuzz`, never alone: its last line of output is one JSON object. What looks too slow or too large
under the instruments is looked at again without them, in a process of its own, before it is a finding.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import atheris  # type: ignore[import-untyped]

with atheris.instrument_imports(include=["runtime", "tests.fuzz.planted"]):  # pyright: ignore[reportAttributeAccessIssue]
    from tests.fuzz import measure, targets
    from tests.fuzz.target import MAX_CPU_S, MAX_MEMORY

if TYPE_CHECKING:
    from tests.fuzz.target import Target

_ADDRESS_SPACE = 512 * 1024 * 1024  # bytes that may be asked for beyond what is there at the start
_MAX_RECHECKED = 200  # inputs that looked slow and were not; more, and the machine is too busy to tell


class _PeakMemory:
    """How far the resident memory rose since the last `reset` (Linux: clear_refs 5 forgets the peak)."""

    def __init__(self) -> None:
        try:
            self._forget: int | None = os.open("/proc/self/clear_refs", os.O_WRONLY)
        except OSError:
            self._forget = None  # the address space alone is the limit then
        self._before = 0

    def reset(self) -> None:
        if self._forget is not None:
            os.pwrite(self._forget, b"5", 0)
        self._before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def risen(self) -> int:
        return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - self._before) * 1024


class Hunt:
    """One target, until something is found, or enough was tried."""

    def __init__(self, target: Target, folder: Path, seconds: float, runs: int) -> None:
        self.target, self.folder, self.runs = target, folder, runs
        self.began = time.monotonic()
        self.until = self.began + seconds
        self.executions = self.accepted = self.rechecked = 0
        self.slowest = 0.0  # seconds of CPU, instruments included
        self.peak = _PeakMemory()

    def one(self, data: bytes) -> None:
        """Feed one input; ends the process with the report when the hunt is over."""
        self.executions += 1
        self.peak.reset()
        began = time.process_time()
        try:
            accepted = self.target.run(data)
        except Exception as error:  # noqa: BLE001 - any other exception is what is looked for
            self.end(measure.describe(error), data)
        spent = time.process_time() - began
        self.slowest = max(self.slowest, spent)
        self.accepted += accepted
        if spent > MAX_CPU_S or self.peak.risen() > MAX_MEMORY:
            self._look_again(data)
        if self.executions >= self.runs or time.monotonic() >= self.until:
            self.end(None, b"")

    def _look_again(self, data: bytes) -> None:
        self.rechecked += 1
        path = keep(self.folder, data)
        command = [sys.executable, "-m", "tests.fuzz", "--replay", str(path), "--target", self.target.name]
        said = subprocess.run(command, capture_output=True, text=True, check=False)
        if said.returncode:
            self.end(said.stdout.strip().splitlines()[0] if said.stdout else said.stderr[-200:], data)
        path.unlink()
        if self.rechecked > _MAX_RECHECKED:
            self.end(f"looked slow {self.rechecked} times, and was not: is the machine too busy?", data)

    def end(self, finding: str | None, data: bytes) -> NoReturn:
        """Report and leave: libFuzzer would go on, or print a story of its own."""
        about: dict[str, object] = {
            "executions": self.executions,
            "accepted": self.accepted,
            "seconds": round(time.monotonic() - self.began, 1),
            "slowest_ms": round(self.slowest * 1000, 1),
            "rechecked": self.rechecked,
            "finding": finding,
        }
        if finding is not None:
            about |= {"input": data.hex(), "path": str(keep(self.folder, data))}
        os.write(1, json.dumps(about).encode() + b"\n")
        os._exit(0)


def keep(folder: Path, data: bytes) -> Path:
    """Write an input where it can be found again."""
    path = folder / "findings" / sha256(data).hexdigest()[:16]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def main(name: str, folder: str, seconds: float, runs: int, seed: int) -> None:
    """Hunt in the target `name`; does not return."""
    target, place = targets.find(name), Path(folder)
    corpus = place / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for data in targets.seeds(target):
        (corpus / sha256(data).hexdigest()[:16]).write_bytes(data)
        target.run(data)  # whatever is made once, and warms caches
    gc.collect()
    gc.freeze()  # a collection of what is there anyway is no input's fault
    here = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (here + _ADDRESS_SPACE, resource.RLIM_INFINITY))
    hunt = Hunt(target, place, seconds, runs)
    options = [f"-max_len={target.max_size}", f"-seed={seed}", "-timeout=30", "-rss_limit_mb=2048"]
    options += ["-print_final_stats=0", "-use_value_profile=1", f"-artifact_prefix={place}/findings/"]
    (place / "findings").mkdir(exist_ok=True)
    atheris.Setup([sys.argv[0], *options, str(corpus)], hunt.one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
