"""`python -m bench`: measure, print the table, write bench/out/latest.json and charts. I/O."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from bench import appraisal
from bench.appraisal import Appraisal
from bench.cases import CASES, QUICK, TARGETS, Target
from bench.chart import bars
from bench.figures import Row, Verdict, absolute, held_row, row, rows_table, slow_row, table, verdict
from bench.machine import description, load_average
from bench.material import Material
from bench.memory import IDLE, STALLED
from bench.rounds import Bench, Measured, say
from bench.systems import SYSTEMS, System

OURS = "ours"
OUT = Path(__file__).parent / "out"
_KIB_PER_MIB = 1024


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench. Returns 0 when it ran, 2 when this machine lacks what it needs."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything started here ends too
    lacking = [f"{tool} ({package})" for tool, package in _NEEDED.items() if shutil.which(tool) is None]
    if lacking:
        say(f"bench needs {', '.join(lacking)}")
        return 2
    systems = _systems(options.systems)
    start, load = time.monotonic(), load_average()
    appraisals = _appraisals()
    with tempfile.TemporaryDirectory(prefix="tunnel-bench-") as folder:
        measured = Bench(
            material=Material.make(Path(folder)),
            systems=systems,
            cases=QUICK if options.quick else CASES,
            rounds=options.rounds or (2 if options.quick else 5),
        ).run()
    about = {
        **description(),
        "load_average_before": load,
        "load_average_after": load_average(),
        "minutes": round((time.monotonic() - start) / 60, 1),
    }
    versions = {system.name: system.version() for system in systems}
    answer = _answer(measured, versions, about, appraisals)
    _write(options.out, answer, measured, versions)
    print(json.dumps(answer, indent=1) if options.json else _text(measured, versions, about, appraisals))
    return 0


_NEEDED = {"nginx": "nginx-light", "wrk": "wrk", "curl": "curl"}


def _appraisals() -> list[Appraisal]:
    reason = appraisal.missing()
    if reason is not None:
        say(f"without appraisals: {reason}")
        return []
    made = appraisal.measure()
    for one in made:
        say(f"appraisal  {one.evidence:24} CPU {one.cpu_ms:6.2f} ms, its signatures {one.signatures_ms:.2f}")
    return made


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=0, help="interleaved rounds (5; quick: 2)")
    parser.add_argument("--quick", action="store_true", help="fewer cases: two minutes instead of thirteen")
    parser.add_argument("--json", action="store_true", help="print latest.json instead of tables")
    parser.add_argument("--out", type=Path, default=OUT, help="where latest.json and the charts go")
    parser.add_argument(
        "--systems", default="", help=f"some of: {', '.join(system.name for system in SYSTEMS)}"
    )
    return parser.parse_args(arguments)


def _systems(wanted: str) -> list[System]:
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    chosen: list[System] = []
    for system in SYSTEMS:
        if names and system.name not in names:
            continue
        reason = system.missing()
        if reason is None:
            chosen.append(system)
        else:
            say(f"without {system.name}: {reason}")
    return chosen


def rows(measured: Measured, versions: Mapping[str, str]) -> list[Row]:
    """List the medians, by case."""
    made = [row(name, versions[name], case, samples) for (name, case), samples in measured.samples.items()]
    order = list(versions)
    return sorted(made, key=lambda one: (one.mode, one.head, one.connections, order.index(one.system)))


def verdicts(measured: Measured) -> list[Verdict]:
    """Hold everything measured against the targets."""
    made: list[Verdict] = []
    for target in TARGETS:
        value = _figure(target, measured)
        one = verdict(target, OURS, measured.samples) if value is None else absolute(target, value)
        if one is not None:
            made.append(one)
    return made


def _figure(target: Target, measured: Measured) -> float | None:
    idle, stalled, slow = measured.idle.get(OURS), measured.stalled.get(OURS), measured.slow.get(OURS)
    if target.metric == "kib" and idle is not None:
        return max(idle.server_kib, idle.client_kib)
    if target.metric == "stalled" and stalled is not None:
        return (stalled.server_kib + stalled.client_kib) / _KIB_PER_MIB
    if target.metric == "slow" and slow is not None:
        return slow.beside_ms / slow.alone_ms
    return None


def _answer(
    measured: Measured,
    versions: Mapping[str, str],
    about: Mapping[str, object],
    appraisals: Sequence[Appraisal],
) -> dict[str, object]:
    return {
        "machine": about,
        "rows": [asdict(one) for one in rows(measured, versions)]
        + [held_row(name, versions[name], "idle", IDLE, one) for name, one in measured.idle.items()]
        + [held_row(name, versions[name], "stalled", STALLED, one) for name, one in measured.stalled.items()]
        + [slow_row(name, versions[name], one) for name, one in measured.slow.items()]
        + [asdict(one) | {"verdict": one.word} for one in appraisals],
        "targets": [asdict(one) | {"verdict": one.word} for one in verdicts(measured)],
        "lost": measured.lost,
    }


def _text(
    measured: Measured,
    versions: Mapping[str, str],
    about: Mapping[str, object],
    appraisals: Sequence[Appraisal],
) -> str:
    memory = [
        f"{how:8} {name:14} {one.server_kib:8.1f} + {one.client_kib:8.1f} KiB per connection"
        for how, found in (("idle", measured.idle), ("stalled", measured.stalled))
        for name, one in found.items()
    ]
    slow = [
        f"slow     {name:14} p99 {one.alone_ms:.2f} ms alone, {one.beside_ms:.2f} beside 1 stalled + 16 bulk"
        for name, one in measured.slow.items()
    ]
    parts = [
        ", ".join(f"{key} {value}" for key, value in about.items()),
        "\n".join(f"{name:14} {version}" for name, version in versions.items()),
        rows_table(rows(measured, versions)),
        "\n".join(memory + slow),
        table(verdicts(measured)),
        appraisal.table(appraisals) if appraisals else "",
    ]
    return "\n\n".join(part for part in parts if part)


def _write(out: Path, answer: Mapping[str, object], measured: Measured, versions: Mapping[str, str]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "latest.json").write_text(json.dumps(answer, indent=1) + "\n")
    made = rows(measured, versions)
    for name, title, unit, figure, chosen in (
        (
            "small",
            "Small requests, browser-sized head",
            "CPU-us per request",
            "cpu_us_per_request",
            "browser",
        ),
        ("tiny", "Small requests, tiny head", "CPU-us per request", "cpu_us_per_request", "tiny"),
        ("bulk", "Bulk", "CPU-s per GiB", "cpu_s_per_gib", "tiny"),
    ):
        found = [one for one in made if one.head == chosen and getattr(one, figure) is not None]
        groups = list(dict.fromkeys((one.mode, one.connections) for one in found))
        series = {
            system: [
                next(
                    (
                        getattr(one, figure)
                        for one in found
                        if (one.system, one.mode, one.connections) == (system, *at)
                    ),
                    None,
                )
                for at in groups
            ]
            for system in dict.fromkeys(one.system for one in found)
        }
        if found:
            names = [f"{mode}, {connections}" for mode, connections in groups]
            (out / f"{name}.svg").write_text(bars(title, unit, names, series))
    kib = {name: [one.server_kib, one.client_kib] for name, one in measured.idle.items()}
    if kib:
        (out / "idle.svg").write_text(
            bars(f"{IDLE} idle visitors", "KiB per connection", ["server side", "client side"], kib)
        )
    say(f"written: {out / 'latest.json'}, and charts beside it")


if __name__ == "__main__":
    sys.exit(main())
