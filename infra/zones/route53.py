"""The fleet's zone on Amazon Route 53: one record set per name and family. Resources only."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from infra.zones import FilledRecord


class Route53Zone(pulumi.ComponentResource):
    """A hosted zone and its records."""

    def __init__(self, zone: str, records: Sequence[FilledRecord], options: pulumi.ResourceOptions) -> None:
        super().__init__("tunnel:route53:Zone", zone, None, options)
        child = pulumi.ResourceOptions(parent=self)
        hosted = aws.route53.Zone(f"{zone}-zone", name=zone, opts=child)
        for record in records:
            aws.route53.Record(
                record.spec.resource_name,
                zone_id=hosted.zone_id,
                name=record.spec.name,
                type=record.spec.type,
                ttl=record.spec.ttl,
                records=record.values,
                opts=child,
            )
        self.name_servers: pulumi.Output[Sequence[str]] = hosted.name_servers
        self.register_outputs({"nameServers": self.name_servers})
