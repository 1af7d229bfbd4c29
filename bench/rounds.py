"""Run everything: memory on fresh processes first, then the rounds, all systems in turn. I/O."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.cases import Case
from bench.load import Load, LoadError, Sample
from bench.machine import Processes
from bench.material import Material
from bench.memory import IDLE, STALLED, Held, SlowReader, held, slow_reader
from bench.origin import Origin
from bench.systems import Running, System

_START = time.monotonic()
_SETTLE_S = 0.1
_SLOW_ROUNDS = 3


@dataclass(slots=True, kw_only=True)
class Measured:
    """Everything one run found out."""

    samples: dict[tuple[str, Case], list[Sample]] = field(
        default_factory=dict[tuple[str, Case], list[Sample]]
    )
    idle: dict[str, Held] = field(default_factory=dict[str, Held])
    stalled: dict[str, Held] = field(default_factory=dict[str, Held])
    slow: dict[str, SlowReader] = field(default_factory=dict[str, SlowReader])
    lost: list[str] = field(default_factory=list[str])  # runs without a figure, and why


def say(text: str) -> None:
    """Tell the story, which is not the answer."""
    print(f"{time.monotonic() - _START:6.0f} s  {text}", file=sys.stderr, flush=True)


class Bench:
    """One run over some systems."""

    def __init__(
        self, *, material: Material, systems: Sequence[System], cases: Sequence[Case], rounds: int
    ) -> None:
        self._material = material
        self._systems = systems
        self._cases = cases
        self._rounds = rounds
        self.measured = Measured()

    def run(self) -> Measured:
        """Measure. A run that fails is left out and said; a system that does not start is an error.

        Ctrl-C ends it early, with what is measured by then.
        """
        with self._processes() as shared:
            origin = Origin(processes=shared, material=self._material)
            for system in self._systems:
                self._memory(system, origin)
            with self._processes() as processes:
                running = {
                    system.name: system.start(processes, self._material, origin.port)
                    for system in self._systems
                }
                load = Load(processes=processes, material=self._material, origin=origin)
                self._slow(processes, load, running)
                try:
                    for number in range(self._rounds):
                        self._round(number, load, running)
                except KeyboardInterrupt:
                    self._lose("the rounds that were interrupted")
        return self.measured

    def _processes(self) -> Processes:
        return Processes(log=self._material.logs, environment=self._material.environment)

    def _memory(self, system: System, origin: Origin) -> None:
        for how, count, into in (
            ("idle", IDLE, self.measured.idle),
            ("stalled", STALLED, self.measured.stalled),
        ):
            with self._processes() as processes:
                running = system.start(processes, self._material, origin.port)
                if running.server is None:
                    return
                try:
                    into[system.name] = figure = held(processes, running, count=count, how=how)
                except LoadError as error:
                    self._lose(f"{system.name}, {count} {how}: {error}")
                    continue
                say(
                    f"{count} {how:8} {system.name:14} "
                    f"{figure.server_kib:7.1f} + {figure.client_kib:7.1f} KiB each"
                )

    def _slow(self, processes: Processes, load: Load, running: dict[str, Running]) -> None:
        for name, system in running.items():
            try:
                self.measured.slow[name] = slow = slow_reader(processes, load, system, rounds=_SLOW_ROUNDS)
            except LoadError as error:
                self._lose(f"{name}, slow reader: {error}")
                continue
            say(f"slow reader   {name:14} p99 {slow.alone_ms:.2f} -> {slow.beside_ms:.2f} ms")

    def _round(self, number: int, load: Load, running: dict[str, Running]) -> None:
        # Without a tunnel there is nothing to compare: once is enough to know the machine.
        names = [name for name, system in running.items() if system.server is not None or number == 0]
        for case in self._cases:
            for name in names[number % len(names) :] + names[: number % len(names)]:
                try:
                    sample = load.run(running[name], case)
                except LoadError as error:
                    self._lose(f"round {number + 1}, {name}, {case.key}: {error}")
                    continue
                self.measured.samples.setdefault((name, case), []).append(sample)
                cpu = "" if sample.cpu is None else f"{sample.cpu:8.2f}"
                say(f"round {number + 1}  {case.key:30} {name:14} CPU {cpu:8} rate {sample.rate:10.2f}")
                time.sleep(_SETTLE_S)

    def _lose(self, what: str) -> None:
        self.measured.lost.append(what)
        say(f"no figure: {what}")
