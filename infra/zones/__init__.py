"""The DNS providers by name; a stack imports the SDKs of its own providers and no other.

Every provider of a zone is given the same records. Sub-zones come first: the zone above delegates to the
name servers that they were given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import pulumi

from infra.config import Provider
from infra.fleet import HEALTH_PATH, FleetPlan, ZoneSpec
from infra.machine import LaunchedMachine
from infra.records import DELEGATION_TTL_S, RecordSpec, dotted

Names = pulumi.Output[Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSpec:
    """What a provider's health check asks a server: HTTPS, with the tunnel name as SNI."""

    name: str
    port: int
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FilledRecord:
    """A planned record set and its values, known now or after `up`."""

    spec: RecordSpec
    values: Names
    by_server: Mapping[str, pulumi.Output[str]]  # of A and AAAA


class HostedZone(Protocol):
    """A zone at one provider: registered, and then filled."""

    name_servers: Names

    def fill(self, records: Sequence[FilledRecord], health: HealthSpec | None) -> None:
        """Register the records."""
        ...

    def serve_with(self, name_servers: Names) -> None:
        """Name the servers of every provider at the zone's own name: it is served by several."""
        ...


Opener = Callable[[ZoneSpec, pulumi.ResourceOptions], HostedZone]


def _route53(zone: ZoneSpec, options: pulumi.ResourceOptions) -> HostedZone:
    from infra.zones.route53 import Route53Zone

    return Route53Zone(zone, options)


def _azure_dns(zone: ZoneSpec, options: pulumi.ResourceOptions) -> HostedZone:
    from infra.zones.azure_dns import AzureZone

    return AzureZone(zone, options)


def _cloud_dns(zone: ZoneSpec, options: pulumi.ResourceOptions) -> HostedZone:
    from infra.zones.cloud_dns import CloudDnsZone

    return CloudDnsZone(zone, options)


ZONES: Mapping[Provider, Opener] = MappingProxyType(
    {"route53": _route53, "azure_dns": _azure_dns, "cloud_dns": _cloud_dns}
)


def publish(
    plan: FleetPlan, launched: Mapping[str, LaunchedMachine], options: pulumi.ResourceOptions
) -> dict[str, Names]:
    """Register every zone at each of its providers and return the name servers to delegate each to."""
    health = HealthSpec(name=plan.config.tunnel_name, port=plan.config.ports.visitors, path=HEALTH_PATH)
    name_servers: dict[str, Names] = {}
    for zone in plan.zones:
        hosted = [ZONES[provider](zone, options) for provider in zone.providers]
        name_servers[zone.name] = _union([one.name_servers for one in hosted])
        filled = [_filled(record, launched, name_servers) for record in zone.records]
        for one in hosted:
            one.fill(filled, health if plan.config.dns.health_checks else None)
            if len(hosted) > 1:
                one.serve_with(name_servers[zone.name])
    return name_servers


def _filled(
    spec: RecordSpec, launched: Mapping[str, LaunchedMachine], name_servers: Mapping[str, Names]
) -> FilledRecord:
    match spec.type:
        case "A" | "AAAA":
            addresses = {name: launched[name].address(spec.type) for name in spec.servers}
            values = pulumi.Output.all(*addresses.values()).apply(_in_order)
            return FilledRecord(spec=spec, values=values, by_server=addresses)
        case "NS":
            return FilledRecord(spec=spec, values=name_servers[spec.delegates], by_server={})
        case "CNAME" | "CAA":
            return FilledRecord(spec=spec, values=pulumi.Output.from_input(list(spec.values)), by_server={})


def _in_order(found: Sequence[str]) -> Sequence[str]:
    return sorted(found)


def _union(parts: list[Names]) -> Names:
    def merge(found: Sequence[Sequence[str]]) -> list[str]:
        return sorted({dotted(name) for names in found for name in names})

    return pulumi.Output.all(*parts).apply(merge)


def apex_record(zone: ZoneSpec) -> RecordSpec:
    """Return the record set that names a zone's servers at the zone's own name."""
    return RecordSpec(name=zone.name, type="NS", ttl=DELEGATION_TTL_S, zone=zone.name, delegates=zone.name)
