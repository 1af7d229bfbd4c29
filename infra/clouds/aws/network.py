"""The fleet's network in one EC2 region: a public subnet per zone, NAT for clients. Resources only."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

import pulumi
import pulumi_aws as aws

from infra import capabilities
from infra.fleet import NetworkSpec

_RANGE = "10.64"  # a /16 of its own per region: nothing is ever routed between members
_PRIVATE = 100  # third octet of the first private subnet; public ones count from 1


class AwsNetwork(pulumi.ComponentResource):
    """One VPC, its gateway, and the subnets of the zones in use."""

    def __init__(self, spec: NetworkSpec, options: pulumi.ResourceOptions) -> None:
        super().__init__("tunnel:aws:Network", spec.name, None, options)
        self._spec = spec
        self._options = pulumi.ResourceOptions(parent=self)
        self.vpc = aws.ec2.Vpc(
            f"{spec.name}-vpc",
            region=spec.region,
            cidr_block=f"{_RANGE}.0.0/16",
            assign_generated_ipv6_cidr_block=spec.ipv6,
            enable_dns_support=True,
            tags=spec.tags,
            opts=self._options,
        )
        gateway = aws.ec2.InternetGateway(
            f"{spec.name}-gateway", region=spec.region, vpc_id=self.vpc.id, tags=spec.tags, opts=self._options
        )
        routes = [aws.ec2.RouteTableRouteArgs(cidr_block="0.0.0.0/0", gateway_id=gateway.id)]
        if spec.ipv6:
            routes.append(aws.ec2.RouteTableRouteArgs(ipv6_cidr_block="::/0", gateway_id=gateway.id))
        table = self._route_table("public", routes)
        self.public: Mapping[str, aws.ec2.Subnet] = {
            zone: self._subnet("public", zone, table, first=1, ipv6=spec.ipv6) for zone in spec.public_zones
        }
        self.private: Mapping[str, aws.ec2.Subnet] = {zone: self._behind_nat(zone) for zone in spec.nat_zones}
        self.register_outputs({})

    def _behind_nat(self, zone: str) -> aws.ec2.Subnet:
        spec = self._spec
        address = aws.ec2.Eip(
            f"{zone}-nat-address", region=spec.region, domain="vpc", tags=spec.tags, opts=self._options
        )
        nat = aws.ec2.NatGateway(
            f"{zone}-nat",
            region=spec.region,
            allocation_id=address.allocation_id,
            subnet_id=self.public[zone].id,
            tags=spec.tags,
            opts=self._options,
        )
        routes = [aws.ec2.RouteTableRouteArgs(cidr_block="0.0.0.0/0", nat_gateway_id=nat.id)]
        table = self._route_table(f"{zone}-private", routes)
        return self._subnet("private", zone, table, first=_PRIVATE, ipv6=False)

    def _route_table(self, name: str, routes: list[aws.ec2.RouteTableRouteArgs]) -> aws.ec2.RouteTable:
        spec = self._spec
        return aws.ec2.RouteTable(
            f"{spec.name}-{name}-routes",
            region=spec.region,
            vpc_id=self.vpc.id,
            routes=routes,
            tags=spec.tags,
            opts=self._options,
        )

    def _subnet(
        self, kind: str, zone: str, table: aws.ec2.RouteTable, *, first: int, ipv6: bool
    ) -> aws.ec2.Subnet:
        spec = self._spec
        # By the zone's letter, not by what else is in use: another zone moves no subnet.
        number = first + capabilities.zones("aws", spec.region).index(zone)
        subnet = aws.ec2.Subnet(
            f"{zone}-{kind}",
            region=spec.region,
            vpc_id=self.vpc.id,
            availability_zone=zone,
            cidr_block=f"{_RANGE}.{number}.0/24",
            ipv6_cidr_block=self.vpc.ipv6_cidr_block.apply(lambda block: nth_subnet(block, number))
            if ipv6
            else None,
            map_public_ip_on_launch=False,
            tags=spec.tags,
            opts=self._options,
        )
        aws.ec2.RouteTableAssociation(
            f"{zone}-{kind}-routes",
            region=spec.region,
            subnet_id=subnet.id,
            route_table_id=table.id,
            opts=self._options,
        )
        return subnet


def nth_subnet(block: str, number: int) -> str:
    """Return the /64 of that number in a VPC's IPv6 block."""
    network = ipaddress.IPv6Network(block)
    return f"{network.network_address + (number << 64)}/64"
