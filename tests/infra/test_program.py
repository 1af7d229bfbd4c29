"""Each role does its own part; what the whole does is held by test_cli.py."""

from __future__ import annotations

import pytest

from infra import program
from tests.infra.conftest import Runs

pytestmark = pytest.mark.timeout(300)


def test_the_next_command_is_one_that_exists(runs: Runs) -> None:
    command = runs.previewed.answer["outputs"]["nextCommand"]
    assert command == program.NEXT_DOCUMENT
    assert command.startswith("pulumi stack output fleetDocument --json > fleet.json")


def test_cloud_stacks_run_before_the_zone(runs: Runs) -> None:
    story = [line for line in runs.names.err.splitlines() if "simulating" in line or "previewing" in line]
    assert [line.partition(":")[2].split(":")[0].strip() for line in story] == [
        "simulating up of aws-prod",
        "simulating up of azure-prod",
        "previewing dns-prod",
    ]
