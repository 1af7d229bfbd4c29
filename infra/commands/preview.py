"""`tunnel-fleet preview`: what `up` would register, checked, without an account. I/O."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from infra import console, planning, stacks
from infra.fleet import FleetPlan
from infra.localmock import changes, runs, tree
from infra.localmock.analyzer import Verdicts
from infra.localmock.engine import RunResult
from runtime.errors import UsageError


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser("preview", help="show what up would do, without a cloud account")
    add_stack(parser)
    parser.add_argument(
        "--against", type=Path, metavar="FILE", help="an earlier answer of --json: what would change since"
    )
    parser.set_defaults(run=run)


def add_stack(parser: argparse.ArgumentParser) -> None:
    """Add what every verb that runs the program takes."""
    parser.add_argument("--stack", default="local", help="the stack of Pulumi.<stack>.yaml (default: local)")
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="YAML or JSON laid over the stack's fleet"
    )
    parser.add_argument("--json", action="store_true", help="answer in JSON")


def run(arguments: argparse.Namespace) -> None:
    """Preview one stack. Raises: TunnelError."""
    settings = stacks.read(arguments.stack, arguments.config)
    plan = planning.load(settings.fleet, settings.stack)
    tell_choices(plan)
    result, verdicts = runs.preview(settings, plan)
    answer = tree.document(result, verdicts)
    if arguments.against is not None:
        answer["changes"] = [
            asdict(change) for change in changes.compare(_earlier(arguments.against), answer)
        ]
    if not arguments.json:
        show(result, verdicts)  # wrong inputs are found easier beside the right ones
    _tell_since(settings.stack, answer)
    runs.check_inputs(result, verdicts)
    _keep(settings.stack, answer)
    if arguments.json:
        console.answer_json(answer)


def _earlier(path: Path) -> dict[str, Any]:
    try:
        found: Any = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        message = f"{path} is no earlier preview: {error}"
        raise UsageError(message, hint="tunnel-fleet preview --json > FILE") from error
    if not isinstance(found, dict) or "resources" not in found:
        message = f"{path} is no earlier preview: it has no resources"
        raise UsageError(message, hint="tunnel-fleet preview --json > FILE")
    return found


def _last(stack: str) -> Path:
    return planning.ROOT / ".local" / "previews" / f"{stack}.json"


def _tell_since(stack: str, answer: dict[str, Any]) -> None:
    """Say what changed since this machine's last preview; the answer itself does not depend on it."""
    path = _last(stack)
    if not path.is_file():
        return
    try:
        found = changes.compare(_earlier(path), answer)
    except UsageError as error:
        console.story(f"nothing to compare with: {error}")
        return
    console.story(f"since the last preview of {stack}: {len(found) or 'no'} changes")
    for change in found:
        console.story(f"  {change}")


def _keep(stack: str, answer: dict[str, Any]) -> None:
    path = _last(stack)
    beside = path.with_suffix(f".{os.getpid()}.new")  # two previews at once keep one of the two whole
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps(answer, sort_keys=True))
        beside.replace(path)
    except OSError as error:
        console.story(f"this preview is not kept: {error.filename}: {error.strerror}")


def tell_choices(plan: FleetPlan) -> None:
    """Say what the owner may not have noticed: how clients leave, and which weak chips are accepted."""
    for spec in plan.machines:
        if spec.role == "client":
            way = "a NAT gateway" if spec.egress == "nat" else "a public address of its own, nothing inbound"
            console.story(f"{spec.name} reaches out by {way}")
    for product, accepted in plan.config.opt_in.items():
        for weakness, reason in accepted.items():
            console.story(f"{product} chips are accepted by opt-in to {weakness}: {reason}")


def show(result: RunResult, verdicts: Verdicts) -> None:
    """Write the tree and what the guardrails say."""
    console.answer(tree.text(result))
    console.answer(tree.guardrails(verdicts))
