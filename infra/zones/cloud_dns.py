"""The fleet's zone on Google Cloud DNS: one record set per name and family. Resources only."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
from pulumi_gcp import dns

from infra.zones import FilledRecord


class CloudDnsZone(pulumi.ComponentResource):
    """A managed zone and its records; names carry the final dot there."""

    def __init__(self, zone: str, records: Sequence[FilledRecord], options: pulumi.ResourceOptions) -> None:
        super().__init__("tunnel:cloud_dns:Zone", zone, None, options)
        child = pulumi.ResourceOptions(parent=self)
        hosted = dns.ManagedZone(
            f"{zone}-zone", dns_name=f"{zone}.", description=f"tunnel fleet {zone}", opts=child
        )
        for record in records:
            dns.RecordSet(
                record.spec.resource_name,
                managed_zone=hosted.name,
                name=f"{record.spec.name}.",
                type=record.spec.type,
                ttl=record.spec.ttl,
                rrdatas=record.values,
                opts=child,
            )
        self.name_servers: pulumi.Output[Sequence[str]] = hosted.name_servers
        self.register_outputs({"nameServers": self.name_servers})
