"""From samples to rows, ratios and a table. Pure.

A ratio is the median of the rounds' own ratios: both sides of each were measured seconds apart.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from bench.cases import Case, Target
from bench.load import Sample
from bench.memory import Held, SlowReader

BULK = ("bulk down", "bulk up")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of latest.json. A figure that a mode has not is None; rps of bulk is in Gbit/s."""

    system: str
    version: str
    mode: str
    connections: int
    head: str
    cpu_us_per_request: float | None
    cpu_s_per_gib: float | None
    rps: float | None
    gbit_per_s: float | None
    p50_ms: float | None
    p99_ms: float | None
    spread: float | None  # (largest - smallest) / median of the CPU figure
    rounds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One target and what became of it."""

    what: str
    peer: str | None
    value: float
    low: float
    high: float
    must: float | None
    aim: float | None

    @property
    def word(self) -> str:
        """Say it in one word."""
        if self.must is None or self.aim is None:
            return ""
        return "aim" if self.value <= self.aim else "must" if self.value <= self.must else "SHORT"


Samples = Mapping[tuple[str, Case], Sequence[Sample]]


def row(system: str, version: str, case: Case, samples: Sequence[Sample]) -> Row:
    """Condense the rounds of one case."""
    bulk = case.mode in BULK
    cpu = _median(sample.cpu for sample in samples)
    rate = _median(sample.rate for sample in samples)
    return Row(
        system=system,
        version=version,
        mode=case.mode,
        connections=case.connections,
        head=case.head,
        cpu_us_per_request=None if bulk else cpu,
        cpu_s_per_gib=cpu if bulk else None,
        rps=None if bulk else rate,
        gbit_per_s=rate if bulk else None,
        p50_ms=_median(sample.p50_ms for sample in samples),
        p99_ms=_median(sample.p99_ms for sample in samples),
        spread=_spread([sample.cpu for sample in samples if sample.cpu]),
        rounds=len(samples),
    )


def held_row(system: str, version: str, mode: str, connections: int, held: Held) -> dict[str, object]:
    """Make the line for idle or stalled connections."""
    return {
        "system": system,
        "version": version,
        "mode": mode,
        "connections": connections,
        "kib_per_connection_server": round(held.server_kib, 2),
        "kib_per_connection_client": round(held.client_kib, 2),
    }


def slow_row(system: str, version: str, slow: SlowReader) -> dict[str, object]:
    """Make the line for the slow reader."""
    return {"system": system, "version": version, "mode": "slow reader + 16 bulk", **asdict(slow)}


def verdict(target: Target, ours: str, samples: Samples) -> Verdict | None:
    """Hold one relative target against the samples; None when the peer or the case was not measured."""
    if target.case is None or target.peer is None:
        return None
    pairs = zip(
        samples.get((ours, target.case), ()), samples.get((target.peer, target.case), ()), strict=False
    )
    ratios = [
        mine / theirs
        for mine, theirs in ((_metric(a, target), _metric(b, target)) for a, b in pairs)
        if mine and theirs
    ]
    if not ratios:
        return None
    return Verdict(
        what=target.what,
        peer=target.peer,
        value=round(statistics.median(ratios), 3),
        low=round(min(ratios), 3),
        high=round(max(ratios), 3),
        must=target.must,
        aim=target.aim,
    )


def absolute(target: Target, value: float) -> Verdict:
    """Hold one absolute target against its figure."""
    value = round(value, 3)
    return Verdict(
        what=target.what, peer=None, value=value, low=value, high=value, must=target.must, aim=target.aim
    )


def table(verdicts: Iterable[Verdict]) -> str:
    """Lay out the verdicts for a terminal."""
    lines = [f"{'':52} {'beside':13} {'value':>7} {'rounds':>15} {'must':>6} {'aim':>6}"]
    for one in verdicts:
        rounds = f"{one.low:.2f}..{one.high:.2f}" if one.low != one.high else ""
        bounds = " ".join("" if bound is None else f"{bound:6.2f}" for bound in (one.must, one.aim))
        lines.append(
            f"{one.what:52} {one.peer or '':13} {one.value:7.2f} {rounds:>15} {bounds} {one.word}".rstrip()
        )
    return "\n".join(lines)


def rows_table(rows: Iterable[Row]) -> str:
    """Lay out the medians for a terminal."""
    lines = [f"{'':34} {'system':14} {'CPU':>9} {'rate':>10} {'p50 ms':>8} {'p99 ms':>8} {'spread':>7}"]
    for one in rows:
        bulk = one.mode in BULK
        cpu = one.cpu_s_per_gib if bulk else one.cpu_us_per_request
        rate = one.gbit_per_s if bulk else one.rps
        case = f"{one.mode}, {one.connections}" + ("" if bulk else f", {one.head}")
        lines.append(
            f"{case:34} {one.system:14} {_text(cpu, 2 if bulk else 1):>9} {_text(rate, 2 if bulk else 0):>10}"
            f" {_text(one.p50_ms, 2):>8} {_text(one.p99_ms, 2):>8} {_text(one.spread, 2):>7}"
        )
    return "\n".join(lines)


def _metric(sample: Sample, target: Target) -> float | None:
    return {"cpu": sample.cpu, "p50": sample.p50_ms, "p99": sample.p99_ms}[target.metric]


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(statistics.median(known), 4) if known else None


def _spread(values: Sequence[float]) -> float | None:
    return round((max(values) - min(values)) / statistics.median(values), 3) if values else None


def _text(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
