"""What a stack answers: typed, small, and the only thing another stack or a person reads of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, cast

import pulumi

from infra.capabilities import CloudName
from infra.document import INSTANCE_KINDS, Dates, document
from infra.fleet import FleetPlan, MachineSpec
from infra.machine import LaunchedMachine
from infra.records import Family, Record, fill
from runtime.documents.fleet import Role


class InstanceId(TypedDict):
    """The machine as its cloud's evidence names it."""

    kind: str
    value: str


class Endpoint(TypedDict):
    """One member that runs; a client has no address that anybody may dial."""

    member: str
    role: Role
    cloud: CloudName
    region: str
    ipv4: str | None
    ipv6: str | None
    instance: InstanceId


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetNames:
    """The names of a fleet whose zone is in this stack: records, name servers, the unsigned document."""

    records: pulumi.Output[list[Record]]
    name_servers: Mapping[str, pulumi.Output[Sequence[str]]]  # by zone: what its registrar is told
    document: dict[str, Any]  # with outputs in it where only `up` tells


def export(
    machines: Sequence[MachineSpec],
    endpoints: pulumi.Output[list[Endpoint]],
    names: FleetNames | None,
    next_command: str,
) -> None:
    """Export a stack's outputs under their documented names."""
    pulumi.export("endpoints", endpoints)
    pulumi.export("settings", {spec.name: spec.settings.decode() for spec in machines})
    if names is not None:
        pulumi.export("records", names.records)
        pulumi.export("nameServers", names.name_servers)
        pulumi.export("fleetDocument", names.document)
    pulumi.export("nextCommand", next_command)


def endpoints_of(
    machines: Sequence[MachineSpec], launched: Mapping[str, LaunchedMachine]
) -> pulumi.Output[list[Endpoint]]:
    """Return the endpoints of these machines, in the plan's order."""
    return _gather([_endpoint(spec, launched[spec.name]) for spec in machines])


def launched_from(endpoints: pulumi.Output[Any], specs: Sequence[MachineSpec]) -> dict[str, LaunchedMachine]:
    """Return the machines that another stack's `endpoints` output tells of."""
    return {spec.name: _from_endpoint(endpoints, spec) for spec in specs}


def names_of(
    plan: FleetPlan,
    launched: Mapping[str, LaunchedMachine],
    endpoints: pulumi.Output[list[Endpoint]],
    name_servers: Mapping[str, pulumi.Output[Sequence[str]]],
    when: Dates,
) -> FleetNames:
    """Return the fleet's records and its unsigned document."""
    servers: list[pulumi.Input[Any]] = [name_servers[zone.name] for zone in plan.zones]

    def filled(found: list[Any]) -> list[Record]:
        names = dict(zip([zone.name for zone in plan.zones], found[1:], strict=True))
        return fill(plan.records, _addresses(found[0]), names)

    parts: list[pulumi.Input[Any]] = [endpoints, *servers]
    return FleetNames(
        records=pulumi.Output.from_input(parts).apply(filled),
        name_servers=name_servers,
        document=document(plan, {name: machine.instance for name, machine in launched.items()}, when),
    )


def _addresses(endpoints: Sequence[Endpoint]) -> dict[tuple[str, Family], str]:
    found: dict[tuple[str, Family], str] = {}
    for entry in endpoints:
        # A null does not survive the way through another stack's state: there the key is missing.
        if ipv4 := entry.get("ipv4"):
            found[entry["member"], "A"] = ipv4
        if ipv6 := entry.get("ipv6"):
            found[entry["member"], "AAAA"] = ipv6
    return found


def _endpoint(spec: MachineSpec, launched: LaunchedMachine) -> pulumi.Output[Endpoint]:
    def build(found: list[Any]) -> Endpoint:
        instance, ipv4, ipv6 = found
        kind = INSTANCE_KINDS[spec.machine.cloud]
        # A client that leaves by an address of its own is not to be dialled by it.
        return Endpoint(
            member=spec.name,
            role=spec.role,
            cloud=spec.machine.cloud,
            region=spec.machine.region,
            ipv4=ipv4 if spec.role == "server" else None,
            ipv6=ipv6 if spec.role == "server" else None,
            instance=InstanceId(kind=kind, value=instance),
        )

    parts: list[pulumi.Input[Any]] = [launched.instance, launched.ipv4, launched.ipv6]
    return pulumi.Output.from_input(parts).apply(build)


def _gather(endpoints: list[pulumi.Output[Endpoint]]) -> pulumi.Output[list[Endpoint]]:
    return pulumi.Output.from_input(cast("list[Endpoint]", endpoints)).apply(list)


def _from_endpoint(endpoints: pulumi.Output[Any], spec: MachineSpec) -> LaunchedMachine:
    def entry(found: Sequence[Endpoint]) -> Endpoint:
        for endpoint in found:
            if endpoint["member"] == spec.name:
                return endpoint
        message = f"the {spec.machine.cloud} stack has no endpoint for {spec.name}: run its `up` first"
        raise LookupError(message)

    def address(family: Family) -> pulumi.Output[str]:
        return endpoints.apply(lambda found: _addresses([entry(found)])[spec.name, family])

    return LaunchedMachine(
        name=spec.name,
        instance=endpoints.apply(lambda found: entry(found)["instance"]["value"]),
        ipv4=address("A") if spec.role == "server" else None,
        ipv6=address("AAAA") if spec.ipv6 else None,
    )
