"""`tunnel-fleet simulate`: a simulated `up` whose outputs a local fleet is started from. I/O."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from infra import console, planning, stacks
from infra.commands import preview
from infra.fleet import LOCAL, FleetPlan
from infra.localmock import runs, tree
from runtime.documents import strict_json
from runtime.errors import UsageError


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser("simulate", help="preview, then an up that is answered without clouds")
    preview.add_stack(parser)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="where outputs and settings go"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Simulate one stack. Raises: TunnelError."""
    if arguments.stack != LOCAL:
        message = f"stack is {arguments.stack!r}: only {LOCAL!r} has addresses and machines to simulate"
        raise UsageError(message, hint=f"tunnel-fleet preview --stack {arguments.stack}")
    settings = stacks.read(arguments.stack, arguments.config)
    plan = planning.load(settings.fleet, settings.stack)
    preview.tell_choices(plan)
    dry, verdicts = runs.preview(settings, plan)
    if not arguments.json:
        preview.show(dry, verdicts)
    runs.check_inputs(dry, verdicts)
    up = tree.document(runs.simulated_up(settings, plan))
    write(arguments.out, plan, up["outputs"])
    if arguments.json:
        console.answer_json({"preview": tree.document(dry, verdicts), "up": up})
    console.story(f"wrote {arguments.out / 'outputs.json'} and {len(plan.machines)} settings files")


def write(folder: Path, plan: FleetPlan, outputs: dict[str, Any]) -> None:
    """Write outputs.json and each member's exact settings bytes. Raises: UsageError."""
    settings = folder / "settings"
    try:
        settings.mkdir(parents=True, exist_ok=True)
        for stale in set(settings.glob("*.json")) - {
            settings / f"{spec.name}.json" for spec in plan.machines
        }:
            stale.unlink()  # a member of an earlier run would be started again
        for spec in plan.machines:
            (settings / f"{spec.name}.json").write_bytes(spec.settings)
        (folder / "outputs.json").write_bytes(strict_json.canonical(outputs))
    except OSError as error:
        message = f"{error.filename}: {error.strerror}"
        raise UsageError(message) from error
