"""Every deliberate mistake fails the preview, with resource, property, value and remedy in one line."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from infra.planning import ROOT
from tests.infra.mistakes import PROGRAM

pytestmark = pytest.mark.timeout(300)  # the first one waits for the SDKs of three clouds


@pytest.fixture(scope="module")
def said() -> dict[str, list[str]]:
    command = [sys.executable, "-m", "tests.infra.mistakes"]
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


def test_each_stack_loads_its_own_cloud_s_sdk_and_no_other(said: dict[str, list[str]]) -> None:
    """The stacks run one after the other in one process, so each adds what it loads."""
    assert said["loaded with aws"] == ["pulumi_aws"]
    assert said["loaded with azure"] == ["pulumi_aws", "pulumi_azure_native", "pulumi_command"]
    assert said["loaded with gcp"] == ["pulumi_aws", "pulumi_azure_native", "pulumi_command", "pulumi_gcp"]


def test_the_page_of_resources_is_current(said: dict[str, list[str]]) -> None:
    page = (ROOT / "docs" / "resources.md").read_text("utf-8")
    assert page == said["table"][0], "python -m tests.infra.mistakes --table > docs/resources.md"
    for kind in (
        "ec2.Instance",
        "ebs.SnapshotImport",
        "compute.GalleryImageVersion",
        "compute.Image",
        "dns.RecordSet",
    ):
        assert f"| `{kind}` |" in page
