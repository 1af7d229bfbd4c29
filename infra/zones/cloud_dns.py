"""A zone on Google Cloud DNS: one record set per name and type. Resources only."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
from pulumi_gcp import dns

from infra.fleet import ZoneSpec
from infra.records import RecordSpec, dotted
from infra.zones import FilledRecord, HealthSpec, Names, apex_record


class CloudDnsZone(pulumi.ComponentResource):
    """A managed zone and its records; names carry the final dot there."""

    def __init__(self, zone: ZoneSpec, options: pulumi.ResourceOptions) -> None:
        super().__init__("tunnel:cloud_dns:Zone", f"{zone.name}-cloud_dns", None, options)
        self._zone = zone
        self._child = pulumi.ResourceOptions(parent=self)
        adopted = zone.adopt.get("cloud_dns")
        self._hosted = dns.ManagedZone(
            # The physical name is made of this one, and has no dots there.
            f"{zone.name.replace('.', '-')}-zone",
            dns_name=dotted(zone.name),
            description=f"tunnel fleet, zone {zone.name}",
            labels=zone.tags,
            opts=pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(import_=adopted)),
        )
        self.name_servers: Names = self._hosted.name_servers
        self.register_outputs({"nameServers": self.name_servers})

    def fill(self, records: Sequence[FilledRecord], health: HealthSpec | None) -> None:
        """Register the records; `health` is not used: its routing answers one address, no round robin."""
        for record in records:
            self._record(record.spec, record.values)

    def serve_with(self, name_servers: Names) -> None:
        """Name the servers of every provider at the zone's own name."""
        self._record(apex_record(self._zone), name_servers)

    def _record(self, spec: RecordSpec, values: Names) -> None:
        names = spec.type in {"NS", "CNAME"}
        dns.RecordSet(
            spec.resource_name,
            managed_zone=self._hosted.name,
            name=dotted(spec.name),
            type=spec.type,
            ttl=spec.ttl,
            rrdatas=values.apply(lambda found: [dotted(name) for name in found]) if names else values,
            opts=self._child,
        )
