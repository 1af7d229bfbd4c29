"""What the tests of infra share: the local stack's own configuration, and a release one made of it."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.planning import ROOT
from tests.infra.release import local, release_fleet


@pytest.fixture
def raw() -> dict[str, Any]:
    """A fresh copy of the local stack's fleet object."""
    return local()


@pytest.fixture(scope="session")
def release() -> dict[str, Any]:
    """The same fleet as an owner would run it: a release image, addresses of the clouds, IPv6 on two."""
    return release_fleet()


@dataclass(frozen=True)
class Ran:
    """One finished command."""

    status: int
    out: str
    err: str

    @property
    def answer(self) -> Any:
        return json.loads(self.out)


def without_gcp(fleet: dict[str, Any]) -> dict[str, Any]:
    """The same fleet on two clouds: the third's SDK alone takes five seconds to import."""
    kept = copy.deepcopy(fleet)
    for part in ("servers", "clients"):
        kept[part] = [member for member in kept[part] if member["cloud"] != "gcp"]
    kept["servers"].append({"name": "aws-2", "cloud": "aws", "region": "us-east-2", "zone": "us-east-2c"})
    kept["servers"][-1]["listen"] = ["0.0.0.0", "::"]
    kept["clients"].append(kept["clients"][0] | {"name": "client-3", "cloud": "aws", "region": "us-east-2"})
    kept["clients"][-1]["egress"] = "nat"
    kept["least_grade"]["client"] = "V"
    return kept


Start = Callable[..., "subprocess.Popen[str]"]


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    """Start `tunnel-fleet` as a person would."""
    command = [sys.executable, "-m", "infra.cli", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[str]) -> Ran:
    """Wait for it; a machine that is busy may take ten times as long as an idle one."""
    try:
        out, err = process.communicate(timeout=250)
    finally:
        process.kill()  # without effect on one that has ended
    return Ran(process.returncode, out, err)


@pytest.fixture(scope="session")
def run() -> Callable[..., Ran]:
    """Run one command to its end."""
    return lambda *arguments: finish(start(*arguments))


@dataclass(frozen=True)
class Runs:
    """The runs of the engine that the tests look at: one of each, since each imports SDKs for seconds."""

    simulated: Ran
    folder: Path
    previewed: Ran
    names: Ran


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory, release: dict[str, Any]) -> Runs:
    folder = tmp_path_factory.mktemp("simulated")
    config = folder / "release.json"
    config.write_text(json.dumps(without_gcp(release)))
    stale = folder / "out" / "settings" / "gone-1.json"
    stale.parent.mkdir(parents=True)
    stale.write_text("{}")
    simulate = start("simulate", "--stack", "local", "--json", "--out", folder / "out")
    names = start("preview", "--stack", "dns-prod", "--json", "--config", config)
    simulated = finish(simulate)
    preview = start("preview", "--json")
    return Runs(simulated=simulated, folder=folder / "out", previewed=finish(preview), names=finish(names))
