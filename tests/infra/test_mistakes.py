"""Every deliberate mistake fails the preview, with resource, property, value and remedy in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from infra.planning import ROOT
from tests.infra.mistakes import PROGRAM

pytestmark = pytest.mark.timeout(300)  # the first one waits for the SDKs of three clouds


@pytest.fixture(scope="module")
def said(release: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    source = tmp_path_factory.mktemp("mistakes") / "release.json"
    source.write_text(json.dumps(release))
    command = [sys.executable, "-m", "tests.infra.mistakes", str(source)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    answers: dict[str, list[str]] = json.loads(done.stdout)
    return answers


@pytest.mark.parametrize("role", ["aws", "azure", "gcp", "dns"])
def test_without_a_mistake_every_stack_is_green(said: dict[str, list[str]], role: str) -> None:
    assert said[role] == []


@pytest.mark.parametrize("name", PROGRAM)
def test_a_mistake_fails_the_preview(said: dict[str, list[str]], name: str) -> None:
    told = PROGRAM[name].told
    assert any(all(part in line for part in told) for line in said[name]), (
        f"{told} is in none of {said[name]}"
    )


def test_there_are_thirty_at_least() -> None:
    assert len(PROGRAM) >= 30
