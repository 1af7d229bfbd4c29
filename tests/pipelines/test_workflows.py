"""The pipelines' files keep to their rules, and each rule notices when it is broken."""

from __future__ import annotations

import copy
import re
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from infra.planning import ROOT
from tests.pipelines import workflows
from tests.pipelines.workflows import GITLAB, SCRIPTS, Tree, github, github_problems, gitlab_problems, load

WORKFLOWS = github()
PIPELINE = load(GITLAB)


def test_all_of_them_are_there() -> None:
    assert sorted(WORKFLOWS) == ["comment.yml", "drift.yml", "preview.yml", "stack.yml", "up.yml"]
    assert sorted(workflows.gitlab_jobs(PIPELINE)) == [
        *("approve", "clouds", "comment", "dns", "document", "drift", "look", "preview")
    ]


@pytest.mark.parametrize("name", sorted(WORKFLOWS))
def test_github_keeps_to_the_rules(name: str) -> None:
    assert github_problems(name, WORKFLOWS[name]) == []


def test_gitlab_keeps_to_the_rules() -> None:
    assert gitlab_problems(PIPELINE) == []


def preview_job(tree: Tree) -> Any:
    return tree["jobs"]["preview"]


BREAKS: dict[str, Callable[[Tree], object]] = {
    "has no time limit": lambda tree: preview_job(tree).pop("timeout-minutes"),
    "has no permissions of its own": lambda tree: preview_job(tree).pop("permissions"),
    "may contents: write": lambda tree: preview_job(tree)["permissions"].update(contents="write"),
    "may id-token: write": lambda tree: preview_job(tree)["permissions"].update({"id-token": "write"}),
    "permissions of the whole": lambda tree: tree.pop("permissions"),
    "names a secret": lambda tree: preview_job(tree).update(env={"KEY": "${{ secrets.OWNER_KEY }}"}),
    "want a commit's hash": lambda tree: preview_job(tree)["steps"][0].update(uses="actions/checkout@v4"),
    "third party's": lambda tree: preview_job(tree)["steps"][0].update(uses=f"else/thing@{'a' * 40}"),
    "leaves the token": lambda tree: preview_job(tree)["steps"][0].pop("with"),
    "puts an expression": lambda tree: preview_job(tree)["steps"][1].update(
        run="echo ${{ github.head_ref }}"
    ),
    "pull_request_target": lambda tree: tree.update(on={"pull_request_target": None}),
}


@pytest.mark.parametrize("wanted", sorted(BREAKS))
def test_a_broken_workflow_is_noticed(wanted: str) -> None:
    tree = copy.deepcopy(WORKFLOWS["preview.yml"])
    BREAKS[wanted](tree)
    assert any(wanted in problem for problem in github_problems("preview.yml", tree))


GITLAB_BREAKS: dict[str, Callable[[Tree], object]] = {
    "preview: has no time limit": lambda tree: tree["preview"].pop("timeout"),
    "preview: a merge request's job gets": lambda tree: tree["preview"].update(extends=".identity"),
    "preview: a merge request's job names": lambda tree: tree["preview"]["script"].append("echo $API_TOKEN"),
    "preview: has no rules": lambda tree: tree["preview"].pop("rules"),
    "clouds: changes the fleet": lambda tree: tree["clouds"].update(rules=[{"if": "$CI_COMMIT_BRANCH"}]),
    "dns: is in no stage": lambda tree: tree["stages"].remove("dns"),
    "dns: goes on": lambda tree: tree["dns"].update(script=["false && true"]),
    "latest": lambda tree: tree["default"].update(image="tools:latest"),
}


@pytest.mark.parametrize("wanted", sorted(GITLAB_BREAKS))
def test_a_broken_pipeline_is_noticed(wanted: str) -> None:
    tree = copy.deepcopy(PIPELINE)
    GITLAB_BREAKS[wanted](tree)
    assert any(wanted in problem for problem in gitlab_problems(tree))


def test_clouds_go_up_before_names_and_the_document_comes_last() -> None:
    up = WORKFLOWS["up.yml"]
    assert workflows.github_order(up) == {
        "look": [],
        "clouds": ["look"],
        "dns": ["clouds"],
        "document": ["dns"],
    }
    jobs = workflows.gitlab_jobs(PIPELINE)
    needs = {name: jobs[name].get("needs") for name in ("approve", "clouds", "dns", "document")}
    assert needs == {"approve": ["look"], "clouds": ["approve"], "dns": ["clouds"], "document": ["dns"]}
    for matrix in (
        up["jobs"]["clouds"]["strategy"]["matrix"]["cloud"],
        jobs["clouds"]["parallel"]["matrix"][0]["CLOUD"],
    ):
        assert matrix == ["aws", "azure", "gcp"]


def test_what_changes_the_fleet_waits_for_a_person() -> None:
    for name, job in WORKFLOWS["up.yml"]["jobs"].items():
        if job.get("with", {}).get("verb") == "up":
            assert job["with"]["environment"] == "fleet-write", name
        else:
            assert "fleet-write" not in str(job), name
    assert WORKFLOWS["stack.yml"]["jobs"]["stack"]["environment"] == "${{ inputs.environment }}"
    jobs = workflows.gitlab_jobs(PIPELINE)
    assert jobs["approve"]["rules"][0]["when"] == "manual"
    assert jobs["approve"]["rules"][0]["allow_failure"] is False
    writing = {name for name, job in jobs.items() if job.get("environment", {}).get("name") == "fleet-write"}
    assert (
        writing
        == {"clouds", "dns"}
        == {n for n, j in jobs.items() if j.get("variables", {}).get("VERB") == "up"}
    )


def test_an_up_is_never_cut_off_by_the_next() -> None:
    assert WORKFLOWS["up.yml"]["concurrency"]["cancel-in-progress"] is False
    assert all(
        "interruptible" not in job for name, job in PIPELINE.items() if name in ("clouds", "dns", ".stack")
    )
    assert PIPELINE["default"]["interruptible"] is False


def test_drift_looks_at_night_and_mends_nothing() -> None:
    drift = WORKFLOWS["drift.yml"]
    assert re.fullmatch(r"\d+ \d+ \* \* \*", drift["on"]["schedule"][0]["cron"])
    assert drift["jobs"]["drift"]["strategy"]["matrix"]["cloud"] == ["aws", "azure", "gcp", "dns"]
    assert drift["jobs"]["drift"]["with"]["verb"] == "drift"
    assert drift["jobs"]["drift"]["with"]["environment"] == "fleet-read"
    job = workflows.gitlab_jobs(PIPELINE)["drift"]
    assert job["variables"] == {"VERB": "drift"}
    assert "schedule" in job["rules"][0]["if"]


def test_the_comment_s_job_takes_no_code_from_the_change() -> None:
    job = WORKFLOWS["comment.yml"]["jobs"]["comment"]
    assert "ref" not in job["steps"][0]["with"]
    assert WORKFLOWS["comment.yml"]["on"] == {
        "workflow_run": {"workflows": ["preview"], "types": ["completed"]}
    }
    assert not any("make" in str(step.get("run")) for step in job["steps"])


def test_nothing_here_takes_the_owner_s_key_or_signs() -> None:
    for path in sorted((ROOT / "pipelines").rglob("*")):
        if path.is_file() and path.suffix != ".pyc" and path.name != "document":
            assert "--sign" not in path.read_text(), path
            assert "--key" not in path.read_text(), path
    # The one that names them tells the owner what to do at home, within a text that it writes.
    script, _, text = (ROOT / "pipelines/document").read_text().partition("<<'END'")
    assert "--sign" not in script.replace("UNSIGNED", "")
    assert "NOT SIGNED" in text
    assert "UNSIGNED" in str(WORKFLOWS["up.yml"]) or "unsigned" in str(WORKFLOWS["up.yml"])


@pytest.mark.parametrize("name", [*sorted(WORKFLOWS), "gitlab"])
def test_every_line_of_shell_is_shell(name: str) -> None:
    lines = workflows.shell_lines(PIPELINE if name == "gitlab" else WORKFLOWS[name])
    for line in lines:
        for shell in ("sh", "bash"):
            found = subprocess.run([shell, "-n"], input=line, text=True, capture_output=True, check=False)
            assert (found.returncode, found.stderr) == (0, ""), line
    assert lines or name == "drift.yml"


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_is_shell_and_can_be_run(name: str) -> None:
    path = ROOT / "pipelines" / name
    subprocess.run(["sh", "-n", path], check=True)
    assert path.stat().st_mode & 0o111
    assert path.read_text().startswith("#!/bin/sh\n")
    assert "\nset -eu\n" in path.read_text()


def test_every_script_that_is_called_is_there() -> None:
    called = {
        word
        for tree in (*WORKFLOWS.values(), PIPELINE)
        for line in workflows.shell_lines(tree)
        for word in re.findall(r"\bpipelines/(\w+)", line)
    }
    assert called == set(SCRIPTS)


def test_the_operator_s_example_says_that_it_is_untested() -> None:
    text = (ROOT / "pipelines/kubernetes/stack.yaml").read_text()
    assert text.startswith("# UNTESTED")
    found = list(workflows._yaml.safe_load_all(text))
    assert [stack["metadata"]["name"] for stack in found] == ["gcp-prod", "dns-prod"]
    assert all(stack["apiVersion"] == "pulumi.com/v1" and stack["kind"] == "Stack" for stack in found)
    assert found[1]["spec"]["prerequisites"] == [{"name": "gcp-prod"}]
    assert all(stack["spec"]["destroyOnFinalize"] is False for stack in found)


def test_the_page_names_every_variable() -> None:
    page = (ROOT / "docs/pipelines.md").read_text()
    text = "".join(path.read_text() for path in sorted(workflows.GITHUB.glob("*.yml"))) + GITLAB.read_text()
    forge = r"(?:CI|GITHUB|GITLAB)_\w+|\w+_ID_TOKEN|STACK|CLOUDS?|VERB|RUN|HEAD"
    asked = set(re.findall(r"\bvars\.(\w+)", text)) | set(re.findall(r"\$([A-Z][A-Z_]+)\b", text))
    wanted = {name for name in asked if not re.fullmatch(forge, name)}
    assert len(wanted) > 10
    assert [name for name in sorted(wanted) if f"`{name}`" not in page] == []
