"""One binary for the lane, one stack for each story."""

from __future__ import annotations

import copy
import os
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from infra import planning, stacks
from infra.localmock import runs, tree
from infra.localmock.real_engine import LocalStack
from infra.planning import ROOT
from infra.stacks import StackSettings

BUILD = ROOT / "requirements" / "pulumi-cli" / "build"


@pytest.fixture(scope="session")
def pulumi() -> Path:
    """The binary of PATH, or the one that `make pulumi-cli` built; this lane is nothing without it."""
    given = os.environ.get("PULUMI_BINARY", "")
    if not given:
        made = subprocess.run([BUILD, ROOT / ".cache" / "pulumi-cli"], check=True, stdout=subprocess.PIPE)
        given = made.stdout.decode().strip()
    return Path(given)


@pytest.fixture(scope="module")
def stack(pulumi: Path, tmp_path_factory: pytest.TempPathFactory) -> LocalStack:
    """An empty backend and an empty world, shared by the tests of one file in their order."""
    return LocalStack(tmp_path_factory.mktemp("engine"), pulumi=pulumi, say=print)


def fleet() -> dict[str, Any]:
    """The fleet of Pulumi.local.yaml, to be changed."""
    return copy.deepcopy(cast("dict[str, Any]", stacks.read("local", None).fleet))


def settings(changed: dict[str, Any]) -> StackSettings:
    """Settings of the stack `local` with that fleet."""
    return replace(stacks.read("local", None), fleet=changed)


def simulated(configuration: dict[str, Any]) -> dict[str, Any]:
    """What local mock mode puts out for that fleet, without dates."""
    up = runs.simulated_up(settings(configuration), planning.load(configuration, "local"))
    return timeless(tree.document(up)["outputs"])


def timeless(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Outputs without the document's dates: two ups are not at one second."""
    told: dict[str, Any] = copy.deepcopy(dict(outputs))
    document = told["fleetDocument"]
    for part in (document, *document["images"], *document["firmware"]):
        for name in ("issued_at", "expires_at", "not_after"):
            part.pop(name, None)
    return told


def larger(small: dict[str, Any], servers: int, clients: int) -> dict[str, Any]:
    """A fleet with more members, made like those that it has."""
    grown = copy.deepcopy(small)
    for kind, count in (("servers", servers), ("clients", clients)):
        pattern = cast("list[dict[str, Any]]", small[kind])
        while len(grown[kind]) < count:
            number = len(grown[kind])
            one = copy.deepcopy(pattern[number % len(pattern)])
            one["name"] = f"{one['name'].rpartition('-')[0]}-{number + 1}"
            host = f"127.0.0.{101 + number if kind == 'servers' else 151 + number}"
            if "listen" in one:
                one["listen"] = [host]
            one["admin"] = f"{host}:9443"
            grown[kind].append(one)
    return grown
