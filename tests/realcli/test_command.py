"""`tunnel-fleet local`, as a person calls it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from infra.planning import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


def call(pulumi: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "infra.cli", "local", *arguments]
    command += ["--pulumi", str(pulumi), "--folder", str(folder)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_up_writes_what_a_local_fleet_starts_from_and_destroy_ends_it(pulumi: Path, tmp_path: Path) -> None:
    up = call(pulumi, tmp_path / "engine", "up", "--json", "--out", str(tmp_path / "out"))
    assert up.returncode == 0, up.stderr
    answer = json.loads(up.stdout)
    assert set(answer["changes"]) == {"create"}
    assert {"operation": "create", "type": "aws:ec2/instance:Instance", "name": "aws-1-vm"} in answer["steps"]
    outputs = json.loads((tmp_path / "out" / "outputs.json").read_bytes())
    assert outputs == answer["outputs"]
    written = {path.stem for path in (tmp_path / "out" / "settings").iterdir()}
    assert written == {member["name"] for member in outputs["fleetDocument"]["members"]}
    # A file that is not replaced at once would be half there when the engine is killed.
    assert not list((tmp_path / "engine" / "backend").rglob("*.attrs"))
    gone = call(pulumi, tmp_path / "engine", "destroy")
    assert gone.returncode == 0, gone.stderr
    assert gone.stdout.startswith("destroy: ")
    assert not list((tmp_path / "engine" / "world" / "things").iterdir())
