"""`tunnel-fleet doctor`: is an account ready for the fleet, asked of the cloud's own CLI, read-only. I/O.

Each failure is followed by the command, or the step, that mends it.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from infra import capabilities, console, planning, seen, stacks
from infra.capabilities import CloudName
from infra.commands.wait import read_outputs
from infra.doctor import aws, azure, gcp
from infra.doctor.model import Answer, Ask, Finding, failed, ok
from infra.fleet import FleetPlan
from infra.records import dotted
from runtime.errors import TunnelError, UnreachableError

_PATIENCE_S = 90  # for one command of a cloud's CLI
Examine = Callable[[FleetPlan, Ask], Iterator[Finding]]
CLOUDS: Mapping[CloudName, Examine] = {"aws": aws.examine, "azure": azure.examine, "gcp": gcp.examine}


class NotReadyError(TunnelError):
    """Something has to be mended before `up`."""

    exit_status = 2
    code = "not_ready"
    answered = True  # the findings are the answer, in JSON too


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser("doctor", help="ask whether an account is ready for the fleet (read-only)")
    parser.add_argument("--cloud", choices=capabilities.CLOUD_NAMES, required=True)
    parser.add_argument("--stack", required=True, help="the stack of Pulumi.<stack>.yaml")
    parser.add_argument("--config", type=Path, metavar="FILE", help="laid over the stack's fleet")
    parser.add_argument(
        "--in", dest="source", type=Path, metavar="FILE", help="the dns stack's outputs: delegation too"
    )
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Ask everything. Raises: UsageError, NotReadyError."""
    settings = stacks.read(arguments.stack, arguments.config)
    plan = planning.load(settings.fleet, settings.stack)
    findings = examine(plan, arguments.cloud, ask)
    if arguments.source is not None:
        findings += delegation(read_outputs(arguments.source))
    if arguments.json:
        console.answer_json([asdict(finding) for finding in findings])
    else:
        console.answer("\n".join(text(finding) for finding in findings))
    bad = sum(finding.verdict != "ok" for finding in findings)
    if bad:
        message = f"{bad} of {len(findings)} checks are not met"
        raise NotReadyError(message)


def examine(plan: FleetPlan, cloud: CloudName, asking: Ask) -> list[Finding]:
    """Return every finding; an answer of a form that nobody foresaw is one too."""
    findings: list[Finding] = []
    try:
        findings.extend(CLOUDS[cloud](plan, asking))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        detail = f"the CLI answered in a form that is not known: {error!r}"
        findings.append(failed("answers", detail, "update the cloud's CLI, or report this"))
    return findings


def ask(command: Sequence[str]) -> Answer:
    """Run one read-only command of a cloud's CLI."""
    try:
        done = subprocess.run(  # noqa: S603 - commands of this package, no shell
            list(command), capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
    except FileNotFoundError:
        return Answer(value=None, error=f"{command[0]} is not installed")
    except (OSError, subprocess.TimeoutExpired) as error:
        return Answer(value=None, error=f"{shlex.join(command)}: {error}")
    if done.returncode:
        words = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
        return Answer(value=None, error=words[-1][:300])
    try:
        return Answer(value=json.loads(done.stdout), error="")
    except ValueError:
        return Answer(value=None, error=f"{shlex.join(command)} answered no JSON")


def delegation(outputs: Mapping[str, Any]) -> list[Finding]:
    """Return whether the world is led to each zone's name servers."""
    findings: list[Finding] = []
    for zone, servers in sorted(outputs.get("nameServers", {}).items()):
        wanted = sorted(dotted(name) for name in servers)
        fix = f"tell the registrar of {zone}, or the zone above it: NS {' '.join(wanted)}"
        try:
            found = sorted(seen.name_servers(zone))
        except UnreachableError as error:
            findings.append(Finding(check=f"{zone} delegated", verdict="unknown", detail=str(error), fix=fix))
            continue
        shown = ", ".join(found) or "nobody"
        same = found == wanted
        findings.append(ok(f"{zone} delegated", shown) if same else failed(f"{zone} delegated", shown, fix))
    return findings


def text(finding: Finding) -> str:
    """Return one finding as a person reads it."""
    line = f"{finding.verdict:8}{finding.check}: {finding.detail}"
    return f"{line}\n        fix: {finding.fix}" if finding.fix else line
