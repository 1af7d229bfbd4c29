"""The preview job's own lines, run: a baseline, a change that is compared with it, a mistake, a comment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines import workflows
from tests.pipelines.job import Project

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]
PREVIEW = workflows.github()["preview.yml"]["jobs"]["preview"]
COMMENT = workflows.github()["comment.yml"]["jobs"]["comment"]
PULL_REQUEST = {"GITHUB_BASE_REF": "main", "GH_TOKEN": "of the job"}


def on_one_cloud(fleet: dict[str, Any]) -> None:
    """Keep AWS: the other SDKs take ten seconds to load, and the lines that are tested here are the same."""
    fleet["servers"] = [server for server in fleet["servers"] if server["cloud"] == "aws"]
    fleet["clients"] = [fleet["clients"][0] | {"cloud": "aws", "region": "us-east-2"}]


def one_server_more(fleet: dict[str, Any]) -> None:
    added = {"name": "aws-2", "listen": ["127.0.0.14"], "admin": "127.0.0.14:9443"}
    fleet["servers"].append(fleet["servers"][0] | added)


def test_a_change_is_compared_with_the_base_branch_and_told(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.change_fleet(on_one_cloud)

    # The default branch: no baseline is needed, and one is made.
    ran = project.run_github(PREVIEW, {})
    assert ran.status == 0, ran.said
    made = project.root / "build" / "previews"
    first = json.loads((made / "local.json").read_text())
    assert first["resources"]
    assert "changes" not in first
    assert project.asked == ["make setup"]

    # A pull request: the artefact of that run is what it is compared with.
    made.rename(project.standins / "artefact")
    project.change_fleet(one_server_more)
    ran = project.run_github(PREVIEW, PULL_REQUEST)
    assert ran.status == 0, ran.said
    listed = "gh run list --workflow preview.yml --branch main --event push --status success"
    assert any(line.startswith(listed) for line in project.asked)
    changes = json.loads((made / "local.json").read_text())["changes"]
    assert {change["operation"] for change in changes} >= {"create"}
    assert any(c["type"] == "aws:ec2/instance:Instance" and c["name"].startswith("aws-2") for c in changes)

    # The comment's job, on the default branch's code: it renders what the artefact holds.
    made.rename(project.root / "was")
    (project.standins / "artefact" / "local.json").write_bytes((project.root / "was/local.json").read_bytes())
    (project.standins / "number").write_text("42\n")
    ran = project.run_github(COMMENT, {"RUN": "7", "HEAD": "a" * 40})
    assert ran.status == 0, ran.said
    told = (project.standins / "comment.md").read_text()
    assert "+ aws:ec2/instance:Instance aws-2" in told
    assert (project.standins / "summary.md").read_text().endswith(told)
    assert project.asked[-1] == "gh pr comment 42 --body-file build/comment.md"


def test_a_mistake_fails_the_job_and_is_told(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.change_fleet(lambda fleet: fleet["servers"][0].update(region="us-east-22"))
    ran = project.run_github(PREVIEW, PULL_REQUEST)
    assert ran.status == 2
    assert "main has no previews to compare with" in ran.said
    told = (project.standins / "summary.md").read_text()
    assert "**`local`**: REFUSED" in told
    assert "us-east-22" in told


def test_gitlab_s_lines_do_the_same(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.change_fleet(lambda fleet: fleet["servers"][0].update(region="us-east-22"))
    job = workflows.gitlab_jobs(workflows.load(workflows.GITLAB))["preview"]
    ran = project.run("\n".join(job["script"]), {})
    assert ran.status == 2, ran.said
    ran = project.run("\n".join(job["after_script"]), {})
    assert ran.status == 0, ran.said
    assert "**`local`**: REFUSED" in (project.root / "build/comment.md").read_text()


def test_a_head_that_is_nobody_s_any_more_gets_no_comment(tmp_path: Path) -> None:
    project = Project(tmp_path)
    (project.standins / "artefact").mkdir()
    (project.standins / "artefact/local.json").write_text('{"resources": []}')
    (project.standins / "number").write_text("")
    ran = project.run_github(COMMENT, {"RUN": "7", "HEAD": "b" * 40})
    assert ran.status == 0
    assert "no open pull request has the head" in ran.said
    assert not (project.standins / "comment.md").exists()
