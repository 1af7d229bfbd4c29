"""`tunnel-fleet plan`: what follows from a configuration, without an SDK, an engine or a cloud. I/O."""

from __future__ import annotations

import argparse
from typing import Any

from infra import console, planning, stacks
from infra.commands import preview
from infra.fleet import FleetPlan


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser("plan", help="show machines, images and records of a stack, in a second")
    preview.add_stack(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Show the plan of one stack. Raises: TunnelError."""
    settings = stacks.read(arguments.stack, arguments.config)
    plan = planning.load(settings.fleet, settings.stack)
    preview.tell_choices(plan)
    if arguments.json:
        console.answer_json(describe(plan))
    else:
        console.answer(text(plan))


def describe(plan: FleetPlan) -> dict[str, Any]:
    """Return the plan as plain data."""
    return {
        "machines": [
            {
                "name": spec.name,
                "role": spec.role,
                "state": spec.state,
                "generation": spec.generation,
                "cloud": spec.machine.cloud,
                "region": spec.machine.region,
                "zone": spec.machine.zone,
                "type": spec.machine.type,
                "tee": spec.machine.tee,
                "grade": spec.machine.grade,
                "inbound": list(spec.inbound),
                "egress": spec.egress,
                "image": spec.image,
                "settings_sha256": spec.settings_sha256,
                "settings_bytes": len(spec.settings),
            }
            for spec in plan.machines
        ],
        "images": [
            {"name": image.name, "version": image.version, "regions": list(image.regions), "file": image.path}
            for image in plan.images
        ],
        "zones": [
            {
                "name": zone.name,
                "providers": list(zone.providers),
                "records": [
                    {
                        "name": record.name,
                        "type": record.type,
                        "ttl": record.ttl,
                        "values": list(record.servers or record.values or (record.delegates,)),
                    }
                    for record in zone.records
                ],
            }
            for zone in plan.zones
        ],
    }


def text(plan: FleetPlan) -> str:
    """Return the plan as a person reads it."""
    found = describe(plan)
    lines = [
        f"{m['name']}: {m['role']}, {m['state']}, {m['cloud']} {m['zone']} ({m['region']}), {m['type']},"
        f" {m['tee']}, grade {m['grade']}, open {', '.join(map(str, m['inbound'])) or 'to nobody'},"
        f" settings {m['settings_sha256'][:16]} ({m['settings_bytes']} bytes)"
        for m in found["machines"]
    ]
    lines += [f"{i['name']}: {i['version']} in {', '.join(i['regions'])}" for i in found["images"]]
    for zone in found["zones"]:
        lines.append(f"zone {zone['name']} at {', '.join(zone['providers'])}")
        lines += [f"  {r['name']} {r['ttl']} {r['type']} {' '.join(r['values'])}" for r in zone["records"]]
    return "\n".join(lines)
