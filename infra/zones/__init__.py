"""The DNS providers by name; a stack imports the SDK of its own provider and no other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import pulumi

from infra.config import Provider
from infra.records import RecordSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class FilledRecord:
    """A planned record set and the addresses that its servers have, or will have after `up`."""

    spec: RecordSpec
    values: pulumi.Output[Sequence[str]]


Publisher = Callable[[str, Sequence[FilledRecord], pulumi.ResourceOptions], pulumi.Output[Sequence[str]]]


def _route53(
    zone: str, records: Sequence[FilledRecord], options: pulumi.ResourceOptions
) -> pulumi.Output[Sequence[str]]:
    from infra.zones.route53 import Route53Zone

    return Route53Zone(zone, records, options).name_servers


def _azure_dns(
    zone: str, records: Sequence[FilledRecord], options: pulumi.ResourceOptions
) -> pulumi.Output[Sequence[str]]:
    from infra.zones.azure_dns import AzureZone

    return AzureZone(zone, records, options).name_servers


def _cloud_dns(
    zone: str, records: Sequence[FilledRecord], options: pulumi.ResourceOptions
) -> pulumi.Output[Sequence[str]]:
    from infra.zones.cloud_dns import CloudDnsZone

    return CloudDnsZone(zone, records, options).name_servers


# Each registers the zone and its records, and answers the name servers to delegate the zone to.
ZONES: Mapping[Provider, Publisher] = MappingProxyType(
    {"route53": _route53, "azure_dns": _azure_dns, "cloud_dns": _cloud_dns}
)
