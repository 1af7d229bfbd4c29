"""Run one module's own tests on one mutant after another, each in a fork of one process. I/O.

What costs seconds is done once, before the first fork: the interpreter, pytest and all packages, whatever of
the project loads without the module that changes, and RSA keys. A fork gets the mutant in the place of the
module when it is first imported; no file is changed. In: one JSON line with the source. Out: one word.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import resource
import select
import signal
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

_OURS = ("runtime", "tests", "infra", "images", "pipelines")
# No other plugin than these: looking for all that are installed takes longer than most of our tests.
_PLUGINS = ("no:cacheprovider", "_hypothesis_pytestplugin", "pytest_asyncio.plugin", "pytest_timeout")
_OPTIONS = (
    *("-q", "-x", "--no-header", "-W", "ignore::pytest.PytestAssertRewriteWarning"),  # loaded before the fork
    *(part for plugin in _PLUGINS for part in ("-p", plugin)),
)
_SHOWN = 1 << 16  # bytes of what tests print that fail as they are
_MEMORY = 3 << 30  # bytes of addresses: a mutant that grows without end is noticed
_LEAST_S, _TIMES = 10.0, 8.0  # a mutant may take so many times what the module's tests take


class Swap(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads one module from another source, and tells what was loaded before it was asked for."""

    def __init__(self, module: str, source: str, path: Path) -> None:
        self.module, self.source, self.path = module, source, path
        self.before: list[str] = []  # loaded whole when the module was first asked for

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Answer for this module alone."""
        if fullname != self.module:
            return None
        whole = {
            name
            for name, module in sys.modules.items()
            if not getattr(getattr(module, "__spec__", None), "_initializing", False)
        }
        self.before = [name for name in sys.modules if whole.issuperset(_with_packages(name))]
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self)

    def exec_module(self, module: ModuleType) -> None:
        """Run the source."""
        exec(compile(self.source, str(self.path), "exec"), module.__dict__)  # noqa: S102 - it is the mutant


def _with_packages(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: count + 1]) for count in range(len(parts))]


class Keys:
    """RSA keys made before the fork: each fork gets the same ones, in turn."""

    def __init__(self) -> None:
        self.made: dict[tuple[int, int], deque[rsa.RSAPrivateKey]] = {}
        self.asked: Counter[tuple[int, int]] = Counter()
        self._make = rsa.generate_private_key
        self._lock = threading.Lock()

    def get(self, public_exponent: int, key_size: int, backend: Any = None) -> rsa.RSAPrivateKey:
        """Stand in for `rsa.generate_private_key`."""
        kind = public_exponent, key_size
        with self._lock:
            self.asked[kind] += 1
            if made := self.made.get(kind):
                return made.popleft()
        return self._make(public_exponent, key_size, backend)

    def fill(self, asked: list[tuple[int, int, int]]) -> None:
        """Make as many of each kind as were asked for."""
        for exponent, size, count in asked:
            self.made[exponent, size] = deque(self._make(exponent, size) for _ in range(count))


class Nursery:
    """One module with its tests, and the forks that run them."""

    def __init__(self, module: Path, tests: list[str]) -> None:
        self.path, self.tests = module, tests
        self.name = ".".join(module.with_suffix("").parts)
        self.source = module.read_text("utf-8")
        self.keys = Keys()
        self.limit_s = 300.0
        self.said = os.memfd_create("said")  # what the last fork printed

    def prepare(self) -> bool:
        """Load what every fork would, and learn how long the tests take. False: they fail as it is."""
        answer, writer = os.pipe()
        if self.run(self.source, writer) != "passed":
            return False
        os.close(writer)
        with os.fdopen(answer, encoding="utf-8") as pipe:
            learnt = json.load(pipe)
        rsa.generate_private_key = self.keys.get
        self.keys.fill([tuple(entry) for entry in learnt["keys"]])
        for name in learnt["modules"]:
            with contextlib.suppress(Exception):  # what a test made up, or what loads only later
                importlib.import_module(name)
        assert self.name not in sys.modules, f"{self.name} was loaded before its mutant"
        assert threading.active_count() == 1, "a fork would lose the other threads"
        start = time.monotonic()
        good = self.run(self.source) == "passed"
        self.limit_s = max(_LEAST_S, _TIMES * (time.monotonic() - start))
        return good

    def run(self, source: str, tell: int | None = None) -> str:
        """Return `passed`, `failed` or `hung`; write to `tell` what the tests loaded."""
        os.ftruncate(self.said, 0)
        os.lseek(self.said, 0, os.SEEK_SET)
        child = os.fork()
        if child == 0:
            self._child(source, tell)
        watched = os.pidfd_open(child)
        try:
            ended, _, _ = select.select([watched], [], [], self.limit_s)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)  # whatever it started goes with it
            _, status = os.waitpid(child, 0)
        finally:
            os.close(watched)
        if not ended:
            return "hung"
        return "passed" if os.waitstatus_to_exitcode(status) == 0 else "failed"

    def _child(self, source: str, tell: int | None) -> None:
        status = 3
        try:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            for number in (1, 2):
                os.dup2(self.said, number)
            if tell is not None:
                rsa.generate_private_key = self.keys.get
            swap = Swap(self.name, source, self.path)
            sys.meta_path.insert(0, swap)
            status = int(pytest.main([*_OPTIONS, *self.tests]))
            if tell is not None:
                _tell(tell, swap, self.keys)
        finally:
            os._exit(status)


def _tell(descriptor: int, swap: Swap, keys: Keys) -> None:
    """Write which modules may be loaded before a fork, in their order, and which keys were made."""
    foreign = [name for name in sys.modules if name.partition(".")[0] not in _OURS]
    ours = [
        name
        for name in swap.before
        if name.partition(".")[0] in _OURS and not name.rpartition(".")[2].startswith(("test_", "conftest"))
    ]
    learnt = {
        "modules": [name for name in foreign if name != "__main__"] + ours,
        "keys": [(*kind, count) for kind, count in keys.asked.items()],
    }
    with os.fdopen(descriptor, "w", encoding="utf-8") as pipe:
        json.dump(learnt, pipe)


def main() -> int:
    """Answer `ready` or `unfit`, then one word for each line."""
    nursery = Nursery(Path(sys.argv[1]), sys.argv[2:])
    good = nursery.prepare()
    if not good:
        sys.stderr.buffer.write(os.pread(nursery.said, _SHOWN, 0))
    print("ready" if good else "unfit", flush=True)
    if good:
        for line in sys.stdin:
            print(nursery.run(json.loads(line)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
