"""A zone on Amazon Route 53: visitors' names with one health-checked answer per server. Resources only."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from infra.fleet import ZoneSpec
from infra.records import RecordSpec
from infra.zones import FilledRecord, HealthSpec, Names, apex_record

_INTERVAL_S = 10
_FAILURES = 2


class Route53Zone(pulumi.ComponentResource):
    """A hosted zone and its records."""

    def __init__(self, zone: ZoneSpec, options: pulumi.ResourceOptions) -> None:
        super().__init__("tunnel:route53:Zone", f"{zone.name}-route53", None, options)
        self._zone = zone
        self._child = pulumi.ResourceOptions(parent=self)
        self._checks: dict[tuple[str, str], pulumi.Output[str]] = {}
        adopted = zone.adopt.get("route53")
        self._hosted = aws.route53.Zone(
            f"{zone.name}-zone",
            name=zone.name,
            comment=f"tunnel fleet, zone {zone.name}",
            tags=zone.tags,
            opts=pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(import_=adopted)),
        )
        self.name_servers: Names = self._hosted.name_servers
        self.register_outputs({"nameServers": self.name_servers})

    def fill(self, records: Sequence[FilledRecord], health: HealthSpec | None) -> None:
        """Register the records."""
        for record in records:
            # One set of all values is what tunnel clients need: multivalue answers end at eight.
            if record.spec.balanced and health is not None:
                self._multivalue(record, health)
            else:
                self._record(record.spec, record.values, overwrite=False)

    def serve_with(self, name_servers: Names) -> None:
        """Name the servers of every provider at the zone's own name."""
        self._record(apex_record(self._zone), name_servers, overwrite=True)

    def _record(self, spec: RecordSpec, values: Names, *, overwrite: bool) -> None:
        aws.route53.Record(
            spec.resource_name,
            zone_id=self._hosted.zone_id,
            name=spec.name,
            type=spec.type,
            ttl=spec.ttl,
            records=values,
            allow_overwrite=overwrite or None,  # Route 53 makes the zone's own NS record itself
            opts=self._child,
        )

    def _multivalue(self, record: FilledRecord, health: HealthSpec) -> None:
        spec = record.spec
        for server, address in record.by_server.items():
            aws.route53.Record(
                f"{spec.resource_name}-{server}",
                zone_id=self._hosted.zone_id,
                name=spec.name,
                type=spec.type,
                ttl=spec.ttl,
                records=[address],
                set_identifier=server,
                multivalue_answer_routing_policy=True,
                health_check_id=self._check(server, spec, address, health),
                opts=self._child,
            )

    def _check(
        self, server: str, spec: RecordSpec, address: pulumi.Output[str], health: HealthSpec
    ) -> pulumi.Output[str]:
        key = (server, spec.type)
        if key not in self._checks:
            check = aws.route53.HealthCheck(
                f"{self._zone.name}-{server}-{spec.type.lower()}-health",
                type="HTTPS",  # Route 53 looks at the answer, not at the certificate
                ip_address=address,
                port=health.port,
                fqdn=health.name,
                enable_sni=True,
                resource_path=health.path,
                request_interval=_INTERVAL_S,
                failure_threshold=_FAILURES,
                tags={**self._zone.tags, "Name": server},
                opts=self._child,
            )
            self._checks[key] = check.id
        return self._checks[key]
