"""A zone on Azure DNS: one record set per name and type; it has no health checks. Resources only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi
from pulumi_azure_native import dns, resources

from infra.fleet import ZoneSpec
from infra.records import RecordSpec
from infra.zones import FilledRecord, HealthSpec, Names, apex_record

_LOCATION = "westeurope"  # of the group's metadata; the zone itself is global


class AzureZone(pulumi.ComponentResource):
    """A zone in a resource group of its own, and its records."""

    def __init__(self, zone: ZoneSpec, options: pulumi.ResourceOptions) -> None:
        super().__init__("tunnel:azure_dns:Zone", f"{zone.name}-azure_dns", None, options)
        self._zone = zone
        self._child = pulumi.ResourceOptions(parent=self)
        adopted = zone.adopt.get("azure_dns", "")
        # /subscriptions/S/resourceGroups/GROUP/providers/...: an adopted zone stays in its group.
        parts = adopted.split("/")
        self._group: pulumi.Input[str] = (
            parts[4]
            if len(parts) > 4
            else resources.ResourceGroup(
                f"{zone.name}-group", location=_LOCATION, tags=zone.tags, opts=self._child
            ).name
        )
        self._hosted = dns.Zone(
            f"{zone.name}-zone",
            resource_group_name=self._group,
            zone_name=zone.name,
            location="global",
            tags=zone.tags,
            opts=pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(import_=adopted or None)),
        )
        self.name_servers: Names = self._hosted.name_servers
        self.register_outputs({"nameServers": self.name_servers})

    def fill(self, records: Sequence[FilledRecord], health: HealthSpec | None) -> None:
        """Register the records; `health` has nothing to say here."""
        for record in records:
            self._record(record.spec, record.values)

    def serve_with(self, name_servers: Names) -> None:
        """Name the servers of every provider at the zone's own name; Azure takes it as an update."""
        self._record(apex_record(self._zone), name_servers)

    def _record(self, spec: RecordSpec, values: Names) -> None:
        dns.RecordSet(
            spec.resource_name,
            resource_group_name=self._group,
            zone_name=self._hosted.name,
            record_type=spec.type,
            relative_record_set_name=relative_name(spec.name, self._zone.name),
            ttl=spec.ttl,
            opts=self._child,
            **_values(spec, values),
        )


def relative_name(name: str, zone: str) -> str:
    """Return the name as Azure wants it: below the zone, and @ for the zone itself."""
    return "@" if name == zone else name.removesuffix("." + zone)


def caa_record(text: str) -> tuple[int, str, str]:
    """Return flags, tag and value of a CAA record as a master file spells it."""
    flags, tag, value = text.split(" ", 2)
    return int(flags), tag, value.strip('"')


def _values(spec: RecordSpec, values: Names) -> dict[str, Any]:
    match spec.type:
        case "A":
            return {"a_records": values.apply(lambda found: [dns.ARecordArgs(ipv4_address=a) for a in found])}
        case "AAAA":
            return {
                "aaaa_records": values.apply(
                    lambda found: [dns.AaaaRecordArgs(ipv6_address=a) for a in found]
                )
            }
        case "CNAME":
            return {"cname_record": dns.CnameRecordArgs(cname=spec.values[0])}
        case "NS":
            return {
                "ns_records": values.apply(lambda found: [dns.NsRecordArgs(nsdname=name) for name in found])
            }
        case "CAA":
            parsed = [caa_record(text) for text in spec.values]
            return {
                "caa_records": [
                    dns.CaaRecordArgs(flags=flags, tag=tag, value=value) for flags, tag, value in parsed
                ]
            }
