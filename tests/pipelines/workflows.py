"""What a pipeline's file has to keep to: read as YAML, answered as a list of problems. I/O only in `load`."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from infra.planning import ROOT

_yaml: Any = importlib.import_module("yaml")
GITHUB = ROOT / "pipelines" / "github"
GITLAB = ROOT / "pipelines" / "gitlab" / "pipeline.yml"
SCRIPTS = ("artefacts", "baseline", "credentials", "document", "previews", "stack")

Tree = dict[str, Any]
# Words of GitLab's file that are no jobs.
_GITLAB_WORDS = ("workflow", "stages", "default", "variables", "include")
_PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
_WRITES = {"comment.yml": {"pull-requests"}, "stack.yml": {"id-token"}, "up.yml": {"id-token"}}
_WRITES["drift.yml"] = {"id-token"}


def load(path: Path) -> Tree:
    """Return a file as YAML; `on` is a truth value in YAML 1.1, and here it is a word again."""
    found: Tree = _yaml.safe_load(path.read_text())
    return {("on" if key is True else key): value for key, value in cast("dict[Any, Any]", found).items()}


def github() -> dict[str, Tree]:
    """Return GitHub's workflows by file name."""
    return {path.name: load(path) for path in sorted(GITHUB.glob("*.yml"))}


def gitlab_jobs(tree: Tree) -> dict[str, Tree]:
    """Return GitLab's jobs with what they extend laid below them."""

    def whole(job: Tree) -> Tree:
        below = whole(tree[job["extends"]]) if "extends" in job else {}
        return {**below, **job}

    names = [name for name in tree if name not in _GITLAB_WORDS and not name.startswith(".")]
    return {name: whole(tree[name]) for name in names}


def github_problems(name: str, tree: Tree) -> list[str]:
    """Return what is wrong with one workflow of GitHub."""
    found = [] if tree.get("permissions") == {} else ["permissions of the whole are not empty"]
    if "pull_request_target" in tree["on"]:
        found.append("pull_request_target runs strangers' changes with our rights")
    for job, body in tree["jobs"].items():
        found += [f"{job}: {problem}" for problem in _github_job(name, body)]
    text = str(tree)
    if "secrets." in text or "secrets[" in text:
        found.append("names a secret: credentials are by identity, and the owner's key is not here")
    return found


def _github_job(name: str, job: Mapping[str, Any]) -> Iterator[str]:
    rights = job.get("permissions")
    if not isinstance(rights, dict):
        yield "has no permissions of its own"
        rights = {}
    allowed = _WRITES.get(name, set())
    yield from (
        f"may {right}: {how}"
        for right, how in cast("dict[str, str]", rights).items()
        if how != "read" and right not in allowed
    )
    if "uses" in job:  # a workflow of ours, which has the time limit
        if not str(job["uses"]).startswith("./.github/workflows/"):
            yield f"uses {job['uses']}"
        return
    if not 0 < job.get("timeout-minutes", 0) <= 120:
        yield "has no time limit"
    for step in job["steps"]:
        yield from _github_step(step)


def _github_step(step: Mapping[str, Any]) -> Iterator[str]:
    uses = step.get("uses")
    if uses is not None and not _PINNED.fullmatch(str(uses)):
        yield f"uses {uses}, want a commit's hash"
    if uses is not None and not str(uses).startswith("actions/"):
        yield f"uses {uses}, which is a third party's"
    if (
        str(uses).startswith("actions/checkout@")
        and step.get("with", {}).get("persist-credentials") is not False
    ):
        yield "checks out and leaves the token in .git/config"
    if "${{" in str(step.get("run", "")):
        yield f"puts an expression into the shell: {step['run']}"


def gitlab_problems(tree: Tree) -> list[str]:
    """Return what is wrong with GitLab's file."""
    found: list[str] = []
    for name, job in gitlab_jobs(tree).items():
        if "timeout" not in job:
            found.append(f"{name}: has no time limit")
        if job["stage"] not in tree["stages"]:
            found.append(f"{name}: is in no stage")
        rules = str(job.get("rules", ""))
        if "rules" not in job:
            found.append(f"{name}: has no rules")
        if "merge_request_event" in rules and ("id_tokens" in job or "environment" in job):
            found.append(f"{name}: a merge request's job gets an identity or an environment")
        if "merge_request_event" in rules and name != "comment" and "TOKEN" in str(job):
            found.append(f"{name}: a merge request's job names a token")
        if str(job.get("variables", {}).get("VERB")) == "up" and "CI_DEFAULT_BRANCH" not in rules:
            found.append(f"{name}: changes the fleet from any branch")
        # With `set -e` a list with && goes on where it fails.
        found += [f"{name}: goes on after a failure: {line}" for line in job["script"] if "&&" in line]
    if "latest" in str(tree["default"].get("image")):
        found.append("image is whatever is latest")
    return found


def github_order(tree: Tree) -> dict[str, list[str]]:
    """Return which jobs each job waits for."""
    return {name: list(job.get("needs", [])) for name, job in tree["jobs"].items()}


def shell_lines(tree: Tree) -> list[str]:
    """Return every piece of shell in a file of either kind."""
    if "jobs" in tree:
        steps = [step for job in tree["jobs"].values() for step in job.get("steps", [])]
        return [str(step["run"]) for step in steps if "run" in step]
    jobs = gitlab_jobs(tree).values()
    return ["\n".join(job.get(part, [])) for job in jobs for part in ("script", "after_script")]
