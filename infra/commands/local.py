"""`tunnel-fleet local`: the stack `local` under the real Pulumi engine, without an account. I/O."""

from __future__ import annotations

import argparse
from pathlib import Path

from infra import console, planning, stacks
from infra.commands import simulate
from infra.fleet import LOCAL
from infra.localmock.real_engine import LocalStack, Outcome
from infra.planning import ROOT

OPERATIONS = ("up", "preview", "refresh", "destroy", "recover")


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser("local", help="the real engine on the stack local, with simulated clouds")
    parser.add_argument("operation", choices=OPERATIONS, help="what the engine is to do")
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="YAML or JSON laid over the stack's fleet"
    )
    parser.add_argument("--pulumi", type=Path, metavar="FILE", help="the pulumi binary (default: on PATH)")
    parser.add_argument(
        "--folder",
        type=Path,
        default=ROOT / ".local" / "engine",
        metavar="DIR",
        help="backend, simulated clouds and Pulumi's home (default: .local/engine)",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="up: where outputs and settings go")
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Carry out one operation of the engine. Raises: TunnelError."""
    settings = stacks.read(LOCAL, arguments.config)
    plan = planning.load(settings.fleet, settings.stack)
    stack = LocalStack(arguments.folder, pulumi=arguments.pulumi, say=console.story_lines)
    console.story(f"{arguments.operation} of the stack {LOCAL} by the real engine, in {stack.folder}")
    if arguments.operation == "recover":
        stack.recover(settings)
        console.answer_json({"recovered": True}) if arguments.json else console.answer("recover: done")
        return
    outcome: Outcome = getattr(stack, arguments.operation)(settings)
    if arguments.out is not None and arguments.operation == "up":
        simulate.write(arguments.out, plan, dict(outcome.outputs))
    if arguments.json:
        steps = [
            {"operation": operation, "type": kind, "name": name} for operation, kind, name in outcome.events
        ]
        console.answer_json(
            {"changes": dict(outcome.changes), "steps": steps, "outputs": dict(outcome.outputs)}
        )
    else:
        told = ", ".join(f"{count} {operation}" for operation, count in sorted(outcome.changes.items()))
        console.answer(f"{arguments.operation}: {told or 'nothing to do'}")
