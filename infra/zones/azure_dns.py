"""The fleet's zone on Azure DNS: one record set per name and family. Resources only."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
from pulumi_azure_native import dns, resources

from infra.zones import FilledRecord

_LOCATION = "westeurope"  # of the group's metadata; the zone itself is global


class AzureZone(pulumi.ComponentResource):
    """A zone in a resource group of its own, and its records."""

    def __init__(self, zone: str, records: Sequence[FilledRecord], options: pulumi.ResourceOptions) -> None:
        super().__init__("tunnel:azure_dns:Zone", zone, None, options)
        self._child = pulumi.ResourceOptions(parent=self)
        group = resources.ResourceGroup(f"{zone}-group", location=_LOCATION, opts=self._child)
        hosted = dns.Zone(
            f"{zone}-zone",
            resource_group_name=group.name,
            zone_name=zone,
            location="global",
            opts=self._child,
        )
        for record in records:
            dns.RecordSet(
                record.spec.resource_name,
                resource_group_name=group.name,
                zone_name=hosted.name,
                record_type=record.spec.type,
                relative_record_set_name=relative_name(record.spec.name, zone),
                ttl=record.spec.ttl,
                a_records=record.values.apply(_a_records) if record.spec.type == "A" else None,
                aaaa_records=record.values.apply(_aaaa_records) if record.spec.type == "AAAA" else None,
                opts=self._child,
            )
        self.name_servers: pulumi.Output[Sequence[str]] = hosted.name_servers
        self.register_outputs({"nameServers": self.name_servers})


def relative_name(name: str, zone: str) -> str:
    """Return the name as Azure wants it: below the zone, and @ for the zone itself."""
    return "@" if name == zone else name.removesuffix("." + zone)


def _a_records(addresses: Sequence[str]) -> list[dns.ARecordArgs]:
    return [dns.ARecordArgs(ipv4_address=address) for address in addresses]


def _aaaa_records(addresses: Sequence[str]) -> list[dns.AaaaRecordArgs]:
    return [dns.AaaaRecordArgs(ipv6_address=address) for address in addresses]
