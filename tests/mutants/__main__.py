"""Run mutants of what decides against their own tests: `make mutants [MODULE=] [MINUTES=60]`. I/O.

Two copies of the tree at a time. A mutant whose tests still pass survived: it is printed, and either gets a
test or an explanation in `docs/mutants.md`, by module and words of the change. Exit 0: no survivor without
an explanation, and the time sufficed. Exit 1 otherwise.
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
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue

from tests.coverage_alone.__main__ import own_tests
from tests.mutants.changes import Mutant, mutants

PROJECT = Path(__file__).resolve().parents[2]
PAGE = PROJECT / "docs" / "mutants.md"
MODULES = (
    "runtime/attestation/binding.py",
    "runtime/attestation/tees/snp/cert_table.py",
    "runtime/attestation/tees/snp/report.py",
    "runtime/attestation/tees/snp/vek.py",
    "runtime/attestation/tees/snp/verify.py",
    "runtime/attestation/verifier.py",
    "runtime/attestation/policy.py",
)
COPIED = ("runtime", "infra", "tests", "images", "pyproject.toml")
AT_ONCE = 2
DEADLINE_S = 120.0  # of one mutant: one that hangs is noticed


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


def passes(tree: Path, module: str, source: str) -> bool:
    """Tell whether the module's own tests pass in `tree` with this source."""
    (tree / module).write_text(source, "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--no-header"]
    # The same examples each time: a mutant is noticed always or never.
    environment = os.environ | {"CI": "true", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(tree)}
    try:
        done = subprocess.run(
            [*command, *own_tests(module)],
            cwd=tree,
            env=environment,
            capture_output=True,
            check=False,
            timeout=DEADLINE_S,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def run(chosen: list[str], until: float) -> Iterator[Outcome]:
    """Yield what became of each mutant until the time is over. Raises: RuntimeError: tests fail anyway."""
    page = PAGE.read_text("utf-8") if PAGE.exists() else ""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        trees: SimpleQueue[Path] = SimpleQueue()
        for number in range(AT_ONCE):
            trees.put(_copy(Path(folder) / str(number)))

        def one(module: str, mutant: Mutant) -> Outcome | None:
            if time.monotonic() >= until:
                return None
            tree = trees.get()
            try:
                survived = passes(tree, module, mutant.source)
            finally:
                (tree / module).write_text((PROJECT / module).read_text("utf-8"), "utf-8")
                trees.put(tree)
            return Outcome(
                module=module,
                change=mutant.name,
                survived=survived,
                explained=explained(module, mutant, page),
            )

        with ThreadPoolExecutor(AT_ONCE) as pool:
            for module in chosen:
                source = (PROJECT / module).read_text("utf-8")
                tree = trees.get()
                if not passes(tree, module, source):
                    message = f"{module}: its tests fail as it is"
                    raise RuntimeError(message)
                trees.put(tree)
                for outcome in pool.map(lambda mutant, module=module: one(module, mutant), mutants(source)):
                    if outcome is not None:
                        yield outcome


def _copy(tree: Path) -> Path:
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
    parser.add_argument("--json", action="store_true", help="print the outcomes as JSON")
    options = parser.parse_args()
    chosen: list[str] = options.module or list(MODULES)
    found: list[Outcome] = []
    for outcome in run(chosen, time.monotonic() + options.minutes * 60):
        found.append(outcome)
        if outcome.is_open:
            print(f"survived: {outcome.module} {outcome.change}", file=sys.stderr, flush=True)
    tried = {module: sum(entry.module == module for entry in found) for module in chosen}
    all_of = {module: sum(1 for _ in mutants((PROJECT / module).read_text("utf-8"))) for module in chosen}
    if options.json:
        print(json.dumps([asdict(outcome) for outcome in found], indent=1))
    else:
        for module in chosen:
            mine = [entry for entry in found if entry.module == module]
            lived = sum(entry.survived for entry in mine)
            still = sum(entry.is_open for entry in mine)
            print(
                f"{module}: {tried[module]} of {all_of[module]} tried, {lived} survived, {still} unexplained"
            )
    return 0 if tried == all_of and not any(outcome.is_open for outcome in found) else 1


if __name__ == "__main__":
    sys.exit(main())
