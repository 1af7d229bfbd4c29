"""Every fuzz target holds for its seeds and for some hundred changes of them; a planted bug is found."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz import measure, planted, targets
from tests.fuzz.target import Target, prefixed, split

PROJECT = Path(__file__).resolve().parents[2]
CHANGED = 240  # inputs per target, of all its seeds together
MEASURED = 12  # of those, the ones whose time and memory are looked at too: tracing costs as much as fifty


def neighbours(seeds: list[bytes], count: int) -> Iterator[bytes]:
    """Return the same `count` changes of the seeds at every call."""
    chance = random.Random(8949)
    for index in range(count):
        data = bytearray(seeds[index % len(seeds)])
        for _ in range(chance.randint(1, 3)):
            start = chance.randrange(len(data))
            match chance.randrange(4):
                case 0:
                    data[start] = chance.randrange(256)
                case 1:
                    del data[start : start + chance.randint(1, 4)]
                    data = data or bytearray(b"\0")
                case 2:
                    data[start:] = b""
                    data = data or bytearray(b"\0")
                case _:
                    data[start:start] = chance.randbytes(chance.randint(1, 4))
        yield bytes(data)


@pytest.mark.parametrize("name", targets.TARGETS)
def test_seeds_and_their_neighbours(name: str) -> None:
    target = targets.find(name)
    seeds = target.seeds()
    assert all(0 < len(seed) <= target.max_size for seed in seeds), "a seed that no hunt would begin with"
    for data in [*seeds, b"", *neighbours(seeds, CHANGED)]:
        target.run(data)
    for data in [*seeds[:2], *neighbours(seeds, MEASURED)]:
        assert measure.finding(target, data) is None


@pytest.mark.parametrize("target", planted.TARGETS, ids=lambda target: target.name)
def test_what_is_planted_is_a_finding(target: Target) -> None:
    assert measure.finding(target, b"CT!") is not None
    assert measure.finding(target, b"CX!") is None


def test_several_inputs_travel_as_one() -> None:
    assert split(prefixed(b"a", b"", b"bc"), 3) == [b"a", b"", b"bc"]
    assert split(b"\0\0\0\xffshort", 2) == [b"short", b""]


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("name", "status"), [("planted_error", 1), ("tpm_quote", 0)])
def test_a_hunt_finds_what_is_planted_and_nothing_else(name: str, status: int, tmp_path: Path) -> None:
    pytest.importorskip("atheris")
    command = [sys.executable, "-m", "tests.fuzz", "--target", name, "--runs", "200000", "--seconds", "60"]
    command += ["--folder", str(tmp_path), "--json"]
    runs = ["--runs", "2000"] if status == 0 else []
    done = subprocess.run(
        [*command, *runs], cwd=PROJECT, capture_output=True, text=True, check=False, timeout=150
    )
    assert done.returncode == status, done.stderr
    (outcome,) = json.loads(done.stdout)
    assert (outcome["finding"] is None) is (status == 0), outcome
    if status:
        data = bytes.fromhex(outcome["input"])
        assert data.startswith(b"CT!")
        assert Path(outcome["path"]).read_bytes() == data
        again = subprocess.run(
            [sys.executable, "-m", "tests.fuzz", "--target", name, "--replay", outcome["path"]],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert again.returncode == 1
        assert "KeyError" in again.stdout
    else:
        assert outcome["executions"] == 2000
