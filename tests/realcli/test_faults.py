"""An `up` that is cut short at any step: the next one converges, nothing is made twice or lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from infra.localmock.real_engine import LocalStack
from infra.planning import ROOT
from infra.stacks import StackSettings
from runtime.errors import UnreachableError
from tests.realcli.conftest import fleet, settings

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore:.*has been deprecated in favor of:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


def small() -> dict[str, Any]:
    """One server and one client of one cloud: every kind of resource of it, and seconds an up."""
    made = fleet()
    made["servers"] = [server for server in made["servers"] if server["cloud"] == "aws"]
    client = made["clients"][0]
    made["clients"] = [{**client, "name": "client-1", "cloud": "aws", "region": made["servers"][0]["region"]}]
    return made


SETTINGS: StackSettings = settings(small())


@pytest.fixture
def engine(pulumi: Path, tmp_path: Path) -> LocalStack:
    return LocalStack(tmp_path / "engine", pulumi=pulumi, say=print)


def assert_whole(engine: LocalStack) -> None:
    """Everything the state knows exists once, and nothing else does."""
    state = engine.state(SETTINGS)
    known = Counter(
        (resource["urn"], resource["id"])
        for resource in state["resources"]
        if resource["custom"] and not resource["type"].startswith("pulumi:")
    )
    there = Counter((thing.urn, thing.id) for thing in engine.world.things())
    assert known == there
    assert all(count == 1 for count in Counter(urn for urn, _ in there).values())
    assert not state.get("pending_operations")


def test_every_create_fails_once_and_every_next_up_goes_on(engine: LocalStack) -> None:
    engine.up(SETTINGS)
    names = sorted(thing.urn.split("::", 3)[3] for thing in engine.world.things())
    engine.destroy(SETTINGS)
    assert engine.world.things() == ()
    faults = engine.folder / "world" / "faults.json"
    faults.write_text(json.dumps([{"operation": "create", "match": name} for name in names]))
    failed = 0
    while json.loads(faults.read_bytes()):
        before = _there(engine)
        with pytest.raises(UnreachableError, match=r"as faults\.json asked"):
            engine.up(SETTINGS)
        failed += 1
        assert before <= _there(engine)  # what was made stays made
        assert failed <= len(names)
    engine.up(SETTINGS)
    assert sorted(thing.urn.split("::", 3)[3] for thing in engine.world.things()) == names
    assert_whole(engine)
    engine.destroy(SETTINGS)
    assert engine.world.things() == ()


@pytest.mark.parametrize("after", [1, 8, 16])
def test_a_killed_engine_is_taken_up_where_it_died(engine: LocalStack, pulumi: Path, after: int) -> None:
    overlay = engine.folder / "fleet.json"
    overlay.write_text(json.dumps(small()))
    command = [sys.executable, "-m", "infra.cli", "local", "up", "--pulumi", str(pulumi)]
    command += ["--folder", str(engine.folder), "--config", str(overlay)]
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True, stderr=subprocess.DEVNULL) as process:
        end = time.monotonic() + 300
        while len(engine.world.things()) < after and process.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        _kill_all(process.pid)
    assert _there(engine)
    engine.recover(SETTINGS)
    kept = _there(engine)  # all but what the engine had not noted when it died
    engine.up(SETTINGS)
    assert kept <= _there(engine)  # nothing that is known was lost or made again
    assert_whole(engine)
    assert set(engine.preview(SETTINGS).changes) == {"same"}
    engine.destroy(SETTINGS)
    assert engine.world.things() == ()


def _there(engine: LocalStack) -> set[tuple[str, str]]:
    return {(thing.urn, thing.id) for thing in engine.world.things()}


def _kill_all(leader: int) -> None:
    """Kill every process of the session: the engine and its plugins have groups of their own."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                session = int((entry / "stat").read_text().rpartition(")")[2].split()[3])
            except OSError:
                continue
            if session == leader:
                os.kill(int(entry.name), signal.SIGKILL)
