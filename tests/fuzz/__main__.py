"""Fuzz every target, or the named ones: `make fuzz TARGET=... SECONDS=... RUNS=...`. I/O: starts processes.

Each target is hunted in a process of its own until a million executions or five minutes went by without a
finding. A finding is an exception that is not our error, more than 50 ms of CPU or more than 16 MiB on one
input. Exit 0: none. Exit 1: at least one; its input is printed in hexadecimal and kept, with the command
that shows it again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.fuzz import measure, targets

PROJECT = Path(__file__).resolve().parents[2]
FOLDER = PROJECT / ".local" / "fuzz"
SECONDS, RUNS = 300.0, 1_000_000
_GRACE_S = 240.0  # for seeds, a last input and a look again: the hunt itself keeps the time
_SHOWN = 2048  # hexadecimal digits of an input on the terminal


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one hunt came to."""

    target: str
    executions: int = 0
    accepted: int = 0
    seconds: float = 0.0
    slowest_ms: float = 0.0  # instruments included
    rechecked: int = 0  # inputs that looked slow or large and were not
    finding: str | None = None
    input: str = ""  # hexadecimal
    path: str = ""

    @property
    def line(self) -> str:
        rate = self.executions / self.seconds if self.seconds else 0.0
        return (
            f"{self.target:<18} {self.executions:>9,} {self.seconds:>6.0f} s {rate:>7,.0f}/s "
            f"{self.accepted:>9,} accepted  {self.finding or 'nothing found'}"
        )


def hunt(name: str, folder: Path, seconds: float, runs: int, seed: int) -> Outcome:
    """Run one hunt in a process of its own; what libFuzzer tells goes to a log beside the findings."""
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.fuzz.hunt", name, str(place), str(seconds), str(runs), str(seed)]
    with (place / "log").open("wb") as log:
        try:
            done = subprocess.run(
                command,
                cwd=PROJECT,
                stdout=subprocess.PIPE,
                stderr=log,
                check=False,
                timeout=seconds + _GRACE_S,
            )
        except subprocess.TimeoutExpired:
            return Outcome(target=name, seconds=seconds, finding=f"did not end: see {log.name}")
    lines = done.stdout.decode(errors="replace").strip().splitlines()
    if done.returncode == 0 and lines and lines[-1].startswith("{"):
        return Outcome(target=name, **json.loads(lines[-1]))
    left = sorted((place / "findings").glob("*-*"), key=lambda path: path.stat().st_mtime)
    given = left[-1] if left else None
    return Outcome(
        target=name,
        finding=f"the process ended with {done.returncode}: see {log.name}",
        input="" if given is None else given.read_bytes().hex(),
        path="" if given is None else str(given),
    )


def tell(outcome: Outcome) -> None:
    """Print a finding, and how to see it again."""
    text = outcome.input if len(outcome.input) <= _SHOWN else outcome.input[:_SHOWN] + "… (the file has all)"
    print(f"\n{outcome.target}: {outcome.finding}\n  input: {text}")
    print(f"  again: {sys.executable} -m tests.fuzz --target {outcome.target} --replay {outcome.path}")


def replay(name: str, path: Path) -> int:
    """Feed one file to one target, without instruments."""
    found = measure.finding(targets.find(name), path.read_bytes())
    print(found or "nothing found")
    return 1 if found else 0


def main() -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(prog="tests.fuzz", description="fuzz every parser")
    parser.add_argument("--target", action="append", metavar="NAME", help="only this one; may be repeated")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help="for each target (default: %(default)s)"
    )
    parser.add_argument("--runs", type=int, default=RUNS, help="for each target (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the fuzzer (default: %(default)s)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="what is kept (default: %(default)s)")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="feed this file to the one target named")
    parser.add_argument("--list", action="store_true", help="print the names of the targets")
    parser.add_argument("--json", action="store_true", help="print the outcomes as JSON")
    options = parser.parse_args()
    names: list[str] = options.target or list(targets.TARGETS)
    if unknown := [name for name in names if name not in {*targets.TARGETS, *targets.PLANTED}]:
        parser.error(f"no target {', '.join(unknown)}: known are {', '.join(targets.TARGETS)}")
    if options.list:
        print("\n".join(names))
        return 0
    if options.replay is not None:
        return replay(names[0], options.replay)
    outcomes: list[Outcome] = []
    for name in names:
        outcomes.append(hunt(name, options.folder, options.seconds, options.runs, options.seed))
        print(outcomes[-1].line, file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps([asdict(outcome) for outcome in outcomes], indent=2))
    else:
        table(outcomes)
    return 1 if any(outcome.finding for outcome in outcomes) else 0


def table(outcomes: list[Outcome]) -> None:
    """Print every target again, and the findings with their inputs."""
    print("| target | executions | seconds | accepted | slowest input, instruments included | finding |")
    print("|---|---|---|---|---|---|")
    for outcome in outcomes:
        print(
            f"| {outcome.target} | {outcome.executions:,} | {outcome.seconds:.0f} | {outcome.accepted:,} "
            f"| {outcome.slowest_ms:.1f} ms | {outcome.finding or 'none'} |"
        )
    for outcome in outcomes:
        if outcome.finding:
            tell(outcome)


if __name__ == "__main__":
    sys.exit(main())
