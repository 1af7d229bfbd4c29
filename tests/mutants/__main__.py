"""Run mutants of what decides against their own tests: `make mutants [MODULE=] [MINUTES=60]`. I/O.

In a copy of the tree, so that a file may be edited meanwhile. A mutant whose tests still pass survived: it is
printed, and either gets a test or an explanation in `docs/mutants.md`, by module and words of the change.
Exit 0: every mutant was tried, and none of a `DECIDING` module survived without an explanation. Exit 1: else.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType

from tests.coverage_alone.__main__ import own_tests
from tests.mutants.changes import Mutant, mutants

PROJECT = Path(__file__).resolve().parents[2]
PAGE = PROJECT / "docs" / "mutants.md"
DECIDING = (
    "runtime/attestation/binding.py",
    "runtime/attestation/verifier.py",
    "runtime/attestation/policy.py",
    "runtime/attestation/member_policy.py",
    "runtime/attestation/image_policy.py",
    "runtime/attestation/platform_policy.py",
    "runtime/attestation/snp_policy.py",
    "runtime/attestation/tdx_policy.py",
    "runtime/attestation/grades.py",
    "runtime/attestation/waivers.py",
    "runtime/attestation/known_weak.py",
    "runtime/attestation/tees/snp/cert_table.py",
    "runtime/attestation/tees/snp/path.py",
    "runtime/attestation/tees/snp/report.py",
    "runtime/attestation/tees/snp/vek.py",
    "runtime/attestation/tees/snp/verify.py",
)
# What parses and what makes claims: survivors are listed.
LISTED = tuple(
    name
    for name in sorted(
        path.relative_to(PROJECT).as_posix()
        for room in ("*.py", "eventlog/*.py", "tees/**/*.py")
        for path in (PROJECT / "runtime" / "attestation").glob(room)
    )
    if name not in DECIDING and own_tests(name) and not name.endswith("__init__.py")
)
MODULES = DECIDING + LISTED
# What a module's own tests let live may be noticed by the whole policy's tests and the vectors.
BESIDE = ("tests/attestation/test_policy.py", "tests/attestation/test_vectors.py")
COPIED = ("runtime", "infra", "tests", "images", "docs", "pyproject.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one mutant."""

    module: str
    change: str
    survived: bool
    explained: bool

    @property
    def is_open(self) -> bool:
        return self.survived and not self.explained


def explained(module: str, mutant: Mutant, page: str) -> bool:
    """Whether the page has a row with this module and the very change."""
    return f"| `{module}` | `{mutant.old}` | `{mutant.new}` |" in page


class Nursery:
    """A process that runs tests on mutants of one module. Raises: RuntimeError: they fail anyway."""

    def __init__(self, tree: Path, module: str, tests: Sequence[str]) -> None:
        command = [sys.executable, "-m", "tests.mutants.nursery", module, *tests]
        self._process = subprocess.Popen(
            command,
            cwd=tree,
            # The same examples each time, and none made smaller: a mutant is noticed always or never.
            env=os.environ
            | {
                "HYPOTHESIS_PROFILE": "mutants",
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                "PYTHONPATH": str(tree),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if self._word() != "ready":
            self.close()
            message = f"{module}: its tests fail as it is"
            raise RuntimeError(message)

    def __enter__(self) -> Nursery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def survives(self, source: str) -> bool:
        """Tell whether the tests pass with this source."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(source) + "\n")
        self._process.stdin.flush()
        word = self._word()
        if word not in {"passed", "failed", "hung"}:
            message = f"the nursery said {word!r}"
            raise RuntimeError(message)
        return word == "passed"

    def close(self) -> None:
        """End it; what it started has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _word(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


class Judge:
    """The module's own tests, and, for what they let live, those beside them."""

    def __init__(self, tree: Path, module: str) -> None:
        self._tree, self._module = tree, module
        self._own = Nursery(tree, module, own_tests(module))
        self._beside: Nursery | None = None

    def survives(self, source: str) -> bool:
        """Tell whether all tests pass with this source."""
        if not self._own.survives(source):
            return False
        if self._beside is None:
            self._beside = Nursery(self._tree, self._module, BESIDE)
        return self._beside.survives(source)

    def close(self) -> None:
        """End both."""
        for nursery in (self._own, self._beside):
            if nursery is not None:
                nursery.close()


def run(chosen: list[str], until: float, at_once: int) -> Iterator[Outcome]:
    """Yield what became of each mutant until the time is over. Raises: RuntimeError: tests fail anyway."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        tree = copy(Path(folder) / "tree")
        for module in chosen:
            if time.monotonic() < until:
                yield from _of_module(tree, module, until, at_once)


def _of_module(tree: Path, module: str, until: float, at_once: int) -> Iterator[Outcome]:
    page = PAGE.read_text("utf-8") if PAGE.exists() else ""
    found = list(mutants((tree / module).read_text("utf-8")))
    count = min(at_once, len(found))
    with ThreadPoolExecutor(max(1, count)) as pool:
        judges: SimpleQueue[Judge] = SimpleQueue()
        for judge in pool.map(lambda _: Judge(tree, module), range(count)):
            judges.put(judge)

        def one(mutant: Mutant) -> Outcome | None:
            if time.monotonic() >= until:
                return None
            judge = judges.get()
            try:
                survived = judge.survives(mutant.source)
            finally:
                judges.put(judge)
            known = explained(module, mutant, page)
            return Outcome(module=module, change=mutant.name, survived=survived, explained=known)

        try:
            yield from (outcome for outcome in pool.map(one, found) if outcome is not None)
        finally:
            for _ in range(count):
                judges.get().close()


def copy(tree: Path) -> Path:
    """Copy what the tests need to `tree`."""
    tree.mkdir()
    for name in COPIED:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__", ".venv*"))
        else:
            shutil.copy(source, tree / name)
    return tree


def main() -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(prog="tests.mutants", description=__doc__)
    parser.add_argument("--module", action="append", metavar="PATH", help="only this one; may be repeated")
    parser.add_argument("--minutes", type=float, default=60.0, help="for all (default: %(default)s)")
    parser.add_argument("--at-once", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the outcomes as JSON")
    options = parser.parse_args()
    chosen: list[str] = options.module or list(MODULES)
    found: list[Outcome] = []
    for outcome in run(chosen, time.monotonic() + options.minutes * 60, options.at_once):
        found.append(outcome)
        if outcome.is_open:
            print(f"survived: {outcome.module} {outcome.change}", file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps([asdict(outcome) for outcome in found], indent=1))
    return 0 if tell(chosen, found) else 1


def tell(chosen: list[str], found: list[Outcome]) -> bool:
    """Print a table by module; return whether all were tried and none lives that must not."""
    good = True
    print("| module | mutants | tried | survived | explained |\n|---|---|---|---|---|", file=sys.stderr)
    for module in chosen:
        mine = [entry for entry in found if entry.module == module]
        wanted = sum(1 for _ in mutants((PROJECT / module).read_text("utf-8")))
        lived = sum(entry.survived for entry in mine)
        still = sum(entry.is_open for entry in mine)
        name = f"`{module.removeprefix('runtime/attestation/').removesuffix('.py')}`"
        print(f"| {name} | {wanted} | {len(mine)} | {lived} | {lived - still} |", file=sys.stderr)
        good = good and len(mine) == wanted and (module in LISTED or not still)
    return good


if __name__ == "__main__":
    sys.exit(main())
