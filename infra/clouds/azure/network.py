"""The fleet's network in one Azure region: a resource group, one virtual network. Resources only."""

from __future__ import annotations

import pulumi
from pulumi_azure_native import network as net
from pulumi_azure_native import resources

from infra.fleet import NetworkSpec

_PUBLIC = "10.64.0.0/24"
_PRIVATE = "10.64.100.0/24"
_PUBLIC_IPV6 = "fd00:10:64::/64"  # inside the network only; servers are reached by their public address
_SPACE = ("10.64.0.0/16",)
_SPACE_IPV6 = ("fd00:10:64::/48",)


class AzureNetwork(pulumi.ComponentResource):
    """A resource group with a subnet for machines with an address, and one for clients behind NAT."""

    def __init__(self, spec: NetworkSpec, options: pulumi.ResourceOptions) -> None:
        super().__init__("tunnel:azure:Network", spec.name, None, options)
        self._spec = spec
        self._child = pulumi.ResourceOptions(parent=self)
        self.group = resources.ResourceGroup(
            f"{spec.name}-group", location=spec.region, tags=spec.tags, opts=self._child
        )
        self._network = net.VirtualNetwork(
            f"{spec.name}-network",
            resource_group_name=self.group.name,
            location=spec.region,
            address_space=net.AddressSpaceArgs(
                address_prefixes=[*_SPACE, *(_SPACE_IPV6 if spec.ipv6 else ())]
            ),
            tags=spec.tags,
            opts=self._child,
        )
        prefixes = [_PUBLIC, _PUBLIC_IPV6] if spec.ipv6 else [_PUBLIC]
        self.public = self._subnet("public", prefixes, None) if spec.public_zones else None
        self.private = self._behind_nat() if spec.nat_zones else None
        self.register_outputs({})

    def subnet_of(self, *, public: bool) -> net.Subnet:
        """Return the subnet of a machine with, or without, an address of its own."""
        subnet = self.public if public else self.private
        if subnet is None:
            message = f"{self._spec.name} was planned without a {'public' if public else 'private'} subnet"
            raise LookupError(message)
        return subnet

    def _behind_nat(self) -> net.Subnet:
        spec = self._spec
        address = net.PublicIPAddress(
            f"{spec.name}-nat-address",
            resource_group_name=self.group.name,
            location=spec.region,
            sku=net.PublicIPAddressSkuArgs(name=net.PublicIPAddressSkuName.STANDARD),
            public_ip_allocation_method=net.IPAllocationMethod.STATIC,
            tags=spec.tags,
            opts=self._child,
        )
        nat = net.NatGateway(
            f"{spec.name}-nat",
            resource_group_name=self.group.name,
            location=spec.region,
            sku=net.NatGatewaySkuArgs(name=net.NatGatewaySkuName.STANDARD),
            public_ip_addresses=[net.SubResourceArgs(id=address.id)],
            tags=spec.tags,
            opts=self._child,
        )
        return self._subnet("private", [_PRIVATE], nat)

    def _subnet(self, kind: str, prefixes: list[str], nat: net.NatGateway | None) -> net.Subnet:
        return net.Subnet(
            f"{self._spec.name}-{kind}",
            resource_group_name=self.group.name,
            virtual_network_name=self._network.name,
            address_prefixes=prefixes,
            nat_gateway=net.SubResourceArgs(id=nat.id) if nat is not None else None,
            default_outbound_access=False,  # out by what the plan names, or not at all
            opts=self._child,
        )
