"""The fleet's network in one Google Cloud region: a subnetwork, and NAT for clients. Resources only."""

from __future__ import annotations

import pulumi
from pulumi_gcp import compute

from infra.fleet import NetworkSpec

_RANGE = "10.64.0.0/20"


class GcpNetwork(pulumi.ComponentResource):
    """A network with one subnetwork; whoever has no address of its own leaves through Cloud NAT."""

    def __init__(self, spec: NetworkSpec, options: pulumi.ResourceOptions) -> None:
        super().__init__("tunnel:gcp:Network", spec.name, None, options)
        child = pulumi.ResourceOptions(parent=self)
        self.network = compute.Network(f"{spec.name}-network", auto_create_subnetworks=False, opts=child)
        self.subnetwork = compute.Subnetwork(
            f"{spec.name}-subnetwork",
            network=self.network.id,
            region=spec.region,
            ip_cidr_range=_RANGE,
            stack_type="IPV4_IPV6" if spec.ipv6 else "IPV4_ONLY",
            ipv6_access_type="EXTERNAL" if spec.ipv6 else None,
            opts=child,
        )
        if spec.nat_zones:
            router = compute.Router(
                f"{spec.name}-router", network=self.network.id, region=spec.region, opts=child
            )
            compute.RouterNat(
                f"{spec.name}-nat",
                router=router.name,
                region=spec.region,
                nat_ip_allocate_option="AUTO_ONLY",
                source_subnetwork_ip_ranges_to_nat="ALL_SUBNETWORKS_ALL_IP_RANGES",
                opts=child,
            )
        self.register_outputs({})
