"""A copy of the project in which a pipeline's own lines run, with stand-ins for the forge's programs. I/O."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.planning import ROOT

_yaml: Any = importlib.import_module("yaml")
_COPIED = ("infra", "runtime", "pipelines", "images/manifests", "Pulumi.yaml", "Pulumi.local.yaml")

# `gh` writes down what it was asked, hands over what the test laid out, and keeps the comment.
_GH = """#!/bin/sh
echo "gh $*" >> "$STANDINS/asked"
case "$1 $2" in
    'run list') [ ! -d "$STANDINS/artefact" ] || echo 7 ;;
    'run download') mkdir -p "$7" && cp "$STANDINS"/artefact/*.json "$7" ;;
    'pr list') cat "$STANDINS/number" ;;
    'pr comment') case "$*" in *--edit-last*) exit 1 ;; esac; cp "$5" "$STANDINS/comment.md" ;;
    *) exit 9 ;;
esac
"""
# The environment is there already: what the job installs is what the tests run in.
_MAKE = '#!/bin/sh\n[ "$*" = setup ] && echo "make $*" >> "$STANDINS/asked"\n'
# The forge's own Python has none of our packages.
_PYTHON3 = f'#!/bin/sh\nexec {sys.executable} -S "$@"\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a job ended, and all that it said."""

    status: int
    said: str


class Project:
    """The copy, and the folder of the stand-ins beside it."""

    def __init__(self, folder: Path) -> None:
        """Copy the project; `.venv` is the one that the tests run in."""
        self.root, self.standins = folder / "project", folder / "standins"
        ignored = shutil.ignore_patterns("__pycache__")
        for name in _COPIED:
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, self.root / name, ignore=ignored)
            else:
                shutil.copy(ROOT / name, self.root / name)
        (self.root / ".venv").symlink_to(sys.prefix)
        (self.standins / "bin").mkdir(parents=True)
        for name, text in (("gh", _GH), ("make", _MAKE), ("python3", _PYTHON3)):
            self.stand_in(name, text)

    def stand_in(self, name: str, text: str) -> None:
        """Put a program first on the job's PATH."""
        path = self.standins / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    @property
    def asked(self) -> list[str]:
        """What the stand-ins were asked, in order."""
        path = self.standins / "asked"
        return path.read_text().splitlines() if path.exists() else []

    def change_fleet(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Edit the local stack's fleet, as a commit would."""
        path = self.root / "Pulumi.local.yaml"
        tree = _yaml.safe_load(path.read_text())
        change(tree["config"]["tunnel:fleet"])
        path.write_text(_yaml.safe_dump(tree))

    def run(self, script: str, environment: Mapping[str, str]) -> Ran:
        """Run shell as a forge does: bash, which ends at the first failure."""
        known = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
        ours = {
            "PATH": f"{self.standins}/bin:{os.environ['PATH']}",
            # The installed project is the tests' own; the job's is the copy.
            "PYTHONPATH": str(self.root),
            "PYTHONDONTWRITEBYTECODE": "1",
            "STANDINS": str(self.standins),
        }
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            cwd=self.root,
            env={**known, **ours, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        return Ran(status=done.returncode, said=done.stdout)

    def run_github(self, job: Mapping[str, Any], environment: Mapping[str, str]) -> Ran:
        """Run a job's `run:` lines in order; after a failure only those that always run."""
        status, said = 0, ""
        summary = {"GITHUB_STEP_SUMMARY": str(self.standins / "summary.md")}
        for step in job["steps"]:
            if "run" not in step or (status and step.get("if") != "always()"):
                continue
            ran = self.run(step["run"], {**summary, **environment})
            status, said = status or ran.status, said + ran.said
        return Ran(status=status, said=said)
