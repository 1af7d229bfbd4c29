"""Measure each pure module by its own test file alone: `make coverage [MODULE=part of a name]`. I/O.

A line that only somebody else's test happens to reach is a line that nobody holds. Exit 0: every module has
all lines and branches; exit 1: what is missing is listed, by line.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import coverage
from coverage.exceptions import NoDataError

from tests import test_architecture as architecture

PROJECT = Path(__file__).resolve().parents[2]
DEADLINE_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One module beside its tests."""

    module: str
    tests: tuple[str, ...]
    percent: float
    missing: str  # lines and branches, for people
    failed: str  # what pytest said, where its tests did not pass

    @property
    def whole(self) -> bool:
        return self.percent == 100 and not self.failed


def own_tests(module: str) -> tuple[str, ...]:
    """Return the test files that `test_architecture` takes for the module's own: its twin, or twins.

    `test_handshake.py` and `test_handshake_owner.py` are of `handshake.py`; `test_client_hello.py` is of
    `client_hello.py`, and not of `client.py`. Where a room is tested in one place, the file of
    `localmock/changes.py` is `test_localmock_changes.py`; what has none of its name is held by the room's
    files together.
    """
    tests, patterns, others = architecture.sources("tests"), architecture.mirror(module), _twins()
    parts, rooms = Path(module).with_suffix("").parts, patterns[-2::-2]  # the nearest room first
    precise = [
        "_".join([room.removesuffix(".py"), *parts[len(parts) - depth :]]) for depth, room in enumerate(rooms)
    ]
    for stem in (*precise, *(room.removesuffix(".py") for room in rooms)):
        twin, more = f"{stem}.py", f"{stem}_*.py"
        found = [test for test in tests if test == twin or (fnmatch(test, more) and test not in others)]
        if found:
            return tuple(sorted(found))
    return ()


@cache
def _twins() -> frozenset[str]:
    return frozenset(architecture.mirror(name)[-2] for name in architecture.sources(*architecture.PACKAGES))


def modules(part: str) -> list[str]:
    """Return the pure modules with tests of their own whose name holds `part`."""
    names = [
        name
        for name in architecture.pure_sources()
        if not name.endswith("__init__.py") and name not in architecture.WITHOUT_MIRROR
    ]
    return [name for name in names if part in name]


def measure(module: str) -> Measured:
    """Run the module's tests under coverage, in a process of their own."""
    tests = own_tests(module)
    if not tests:  # pytest without a file would run them all
        return outcome(module, tests, None, "")
    with tempfile.TemporaryDirectory(prefix="coverage-") as folder:
        data, report = Path(folder) / "data", Path(folder) / "report.json"
        # Without the project's settings: those are about whole packages, and several processes.
        command = [sys.executable, "-m", "coverage", "run", "--rcfile=/dev/null", "--branch"]
        command += [f"--include={module}"]
        command += [f"--data-file={data}", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
        command += [
            "--hypothesis-seed=0"
        ]  # a line that only chance reaches is whole in every run, or in none
        command += ["--timeout=300", *tests]  # counting branches takes several times as long
        environment = os.environ | {"HYPOTHESIS_STORAGE_DIRECTORY": folder}
        done = subprocess.run(
            command,
            cwd=PROJECT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=DEADLINE_S,
        )
        about = _about(data, report) if data.exists() else None
    failed = "" if done.returncode == 0 else done.stdout[-800:] + done.stderr[-400:]
    return outcome(module, tests, about, failed)


def _about(data: Path, report: Path) -> dict[str, Any] | None:
    """Return what `coverage json` says of the one file in the data, without a process for it."""
    read = coverage.Coverage(data_file=data, config_file=False, branch=True)
    read.set_option("report:exclude_also", ["if TYPE_CHECKING:", r"^\s*\.\.\.$"])
    read.load()
    try:
        read.json_report(outfile=str(report))
    except NoDataError:  # the tests never loaded the module
        return None
    (found,) = json.loads(report.read_text("utf-8"))["files"].values()
    return dict(found)


def outcome(module: str, tests: tuple[str, ...], about: dict[str, Any] | None, failed: str) -> Measured:
    """Return what a report of `coverage json` says of one file; None: the tests never loaded it."""
    if about is None:
        return Measured(
            module=module, tests=tests, percent=0.0, missing="never loaded by its own test", failed=failed
        )
    lines = ", ".join(map(str, about["missing_lines"]))
    branches = ", ".join(f"{start}→{'exit' if end < 0 else end}" for start, end in about["missing_branches"])
    missing = "; ".join(
        part for part in (lines and f"lines {lines}", branches and f"branches {branches}") if part
    )
    return Measured(
        module=module,
        tests=tests,
        percent=float(about["summary"]["percent_covered"]),
        missing=missing,
        failed=failed,
    )


def main() -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(prog="tests.coverage_alone", description=__doc__)
    parser.add_argument("--module", default="", help="only modules whose name holds this")
    parser.add_argument("--jobs", type=int, default=2, help="at once (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")
    options = parser.parse_args()
    names = modules(options.module)
    found: list[Measured] = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for entry in pool.map(measure, names):
            found.append(entry)
            print(f"{entry.percent:5.1f} %  {entry.module}", file=sys.stderr, flush=True)
    lacking = [entry for entry in found if not entry.whole]
    if options.json:
        print(json.dumps([{"module": e.module, "percent": e.percent, "missing": e.missing} for e in found]))
    else:
        for entry in lacking:
            print(f"{entry.module}: {entry.percent:.1f} % by {', '.join(entry.tests) or 'nothing'}")
            print(f"  {entry.failed or entry.missing}")
        print(f"{len(found) - len(lacking)} of {len(found)} pure modules are whole by their own tests alone")
    return 1 if lacking else 0


if __name__ == "__main__":
    sys.exit(main())
