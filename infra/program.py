"""The Pulumi program: plan, launch, records, outputs, in that order. Resources only.

A stack does its own part: `tunnel:role` is one cloud, `dns`, or `all` of them (the stack `local`).
"""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

from infra import clock, outputs, planning
from infra.capabilities import CloudName
from infra.clouds import CLOUDS
from infra.document import Dates, dates
from infra.fleet import LOCAL, FleetPlan
from infra.machine import LaunchedMachine
from infra.stack_names import CONFIG, DNS, ROLES, cloud_stack
from infra.zones import publish
from runtime.errors import TunnelError

NEXT_DOCUMENT = (
    "pulumi stack output fleetDocument --json > fleet.json && "
    "tunnel-fleet document --sign --key owner.pem --in fleet.json --out fleet.signed.json"
)


def run() -> None:
    """Register the current stack's resources. Raises: pulumi.RunError for what a person has to change."""
    settings = pulumi.Config(CONFIG)
    stack, role = pulumi.get_stack(), settings.require("role")
    try:
        plan = planning.load(settings.require_object("fleet"), stack)
    except TunnelError as error:
        raise pulumi.RunError(str(error)) from error
    protect = settings.get_bool("protect")
    # Teardown is said in configuration first: set false, `up`, then `destroy`.
    options = pulumi.ResourceOptions(protect=stack != LOCAL if protect is None else protect)
    match role:
        case "aws" | "azure" | "gcp":
            _one_cloud(plan, role, options)
        case "dns":
            _names(plan, _from_stacks(plan), options)
        case "all":
            _names(plan, _launch(plan, plan.clouds, options), options)
        case _:
            message = f"tunnel:role is {role!r}, want one of {', '.join(ROLES)}"
            raise pulumi.RunError(message)


def _one_cloud(plan: FleetPlan, cloud: CloudName, options: pulumi.ResourceOptions) -> None:
    machines = plan.of_cloud(cloud)
    launched = _launch(plan, (cloud,), options)
    next_command = f"pulumi up --stack {DNS}-{plan.config.environment}"
    outputs.export(machines, outputs.endpoints_of(machines, launched), None, next_command)


def _launch(
    plan: FleetPlan, clouds: tuple[CloudName, ...], options: pulumi.ResourceOptions
) -> dict[str, LaunchedMachine]:
    launched: dict[str, LaunchedMachine] = {}
    for name in clouds:
        networks = [network for network in plan.networks if network.cloud == name]
        cloud = CLOUDS[name](networks, [image for image in plan.images if image.cloud == name], options)
        for spec in plan.of_cloud(name):
            launched[spec.name] = cloud.launch(spec, spec.settings)
    return launched


def _from_stacks(plan: FleetPlan) -> dict[str, LaunchedMachine]:
    launched: dict[str, LaunchedMachine] = {}
    for cloud in plan.clouds:
        stack = cloud_stack(cloud, plan.config.environment)
        reference = pulumi.StackReference(f"{pulumi.get_organization()}/{pulumi.get_project()}/{stack}")
        launched |= outputs.launched_from(reference.require_output("endpoints"), plan.of_cloud(cloud))
    return launched


def _names(plan: FleetPlan, launched: Mapping[str, LaunchedMachine], options: pulumi.ResourceOptions) -> None:
    name_servers = publish(plan, launched, options)
    endpoints = outputs.endpoints_of(plan.machines, launched)
    names = outputs.names_of(plan, launched, endpoints, name_servers, _dates(plan))
    outputs.export(plan.machines, endpoints, names, NEXT_DOCUMENT)


def _dates(plan: FleetPlan) -> Dates:
    """Return the document's dates; a preview has none, so that two previews are equal."""
    told = dates(int(clock.now()), plan.config.document.life_days)
    if not pulumi.runtime.is_dry_run():
        return told
    return Dates(issued_at=_after_up(told.issued_at), expires_at=_after_up(told.expires_at))


def _after_up(value: str) -> pulumi.Output[str]:
    async def later() -> str:
        return value

    async def unknown() -> bool:
        return False

    return pulumi.Output(set(), later(), unknown())
