"""Break one defence at a time in a copy of the tree and run the test that stands for it. I/O.

A test that still passes then could not fail: that ends the run with exit 1. Two copies at a time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.broken.entry import Break
from tests.broken.ledger import BREAKS

PROJECT = Path(__file__).resolve().parents[2]
COPIED = (
    *("runtime", "infra", "tests", "images", "pipelines"),
    *("pyproject.toml", "Pulumi.yaml", "Pulumi.local.yaml"),
)
AT_ONCE = 2
DEADLINE_S = 120.0


class Outcome:
    """What the test said about one broken defence."""

    def __init__(self, broken: Break, *, noticed: bool, detail: str, seconds: float) -> None:
        self.broken, self.noticed, self.detail, self.seconds = broken, noticed, detail, seconds


def apply(broken: Break, tree: Path) -> None:
    """Break the defence in a copy. Raises: ValueError when the code no longer reads as the ledger says."""
    path = tree / broken.file
    text = path.read_text("utf-8")
    if text.count(broken.old) != 1:
        message = f"{broken.name}: {broken.file} has the line {text.count(broken.old)} times, want once"
        raise ValueError(message)
    path.write_text(text.replace(broken.old, broken.new), "utf-8")


async def attempt(broken: Break) -> Outcome:
    """Run one."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="broken-") as folder:
        tree = Path(folder)
        for name in COPIED:
            source = PROJECT / name
            if source.is_dir():
                shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, tree / name)
        try:
            apply(broken, tree)
        except (ValueError, OSError) as error:
            return Outcome(broken, noticed=False, detail=str(error), seconds=time.monotonic() - started)
        # `python -m` puts the copy in front of the installed tree.
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider",
            "--timeout", "60", *broken.tests,
            cwd=tree, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            async with asyncio.timeout(DEADLINE_S):
                output, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            return Outcome(broken, noticed=False, detail="took too long", seconds=DEADLINE_S)
    lines = output.decode("utf-8", "replace").splitlines()
    failed = [line for line in lines if line.startswith("FAILED")]
    # Exit 1 is "tests ran and failed"; anything else (no such test, a syntax error) proves nothing.
    noticed = process.returncode == 1 and bool(failed)
    detail = failed[0][7:150] if noticed else "; ".join(lines[-3:])[-300:]
    return Outcome(broken, noticed=noticed, detail=detail, seconds=time.monotonic() - started)


async def run(chosen: list[Break]) -> list[Outcome]:
    """Run all, two at a time, telling each as it ends."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(broken: Break) -> Outcome:
        async with gate:
            outcome = await attempt(broken)
        word = "noticed " if outcome.noticed else "MISSED  "
        print(
            f"{word} {outcome.seconds:5.1f} s  {broken.name}: {outcome.detail}", file=sys.stderr, flush=True
        )
        return outcome

    return list(await asyncio.gather(*(one(broken) for broken in chosen)))


def main() -> int:
    """Run the ledger and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.broken", description=__doc__)
    parser.add_argument("--only", metavar="TEXT", default="", help="breaks whose name contains this")
    parser.add_argument("--json", action="store_true", help="answer with JSON")
    options = parser.parse_args()
    chosen = [broken for broken in BREAKS if options.only in broken.name]
    outcomes = asyncio.run(run(chosen))
    missed = [outcome for outcome in outcomes if not outcome.noticed]
    if options.json:
        rows = [{"name": o.broken.name, "noticed": o.noticed, "detail": o.detail} for o in outcomes]
        print(json.dumps(rows, indent=2))
    else:
        print(f"{len(outcomes) - len(missed)} of {len(outcomes)} broken defences were noticed")
    return 1 if missed or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
