"""`tunnel-fleet preview`: what `up` would register, checked, without an account. I/O."""

from __future__ import annotations

import argparse
from pathlib import Path

from infra import console, planning, stacks
from infra.fleet import FleetPlan
from infra.localmock import runs, tree
from infra.localmock.engine import RunResult


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser("preview", help="show what up would do, without a cloud account")
    add_stack(parser)
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
    result = runs.preview(settings, plan)
    if not arguments.json:
        show(result)  # wrong inputs are found easier beside the right ones
    runs.check_inputs(result)
    if arguments.json:
        console.answer_json(tree.document(result))


def tell_choices(plan: FleetPlan) -> None:
    """Say what the owner may not have noticed: how clients leave, and which weak chips are accepted."""
    for spec in plan.machines:
        if spec.role == "client":
            way = "a NAT gateway" if spec.egress == "nat" else "a public address of its own, nothing inbound"
            console.story(f"{spec.name} reaches out by {way}")
    for product, reason in plan.config.opt_in.items():
        console.story(f"{product} chips are accepted by opt-in: {reason}")


def show(result: RunResult) -> None:
    """Write the tree."""
    console.answer(tree.text(result))
