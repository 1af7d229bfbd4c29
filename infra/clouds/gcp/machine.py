"""One TDX or SEV-SNP guest on Compute Engine: its rules, addresses and instance. Resources only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import pulumi
from pulumi_gcp import compute

from infra.capabilities import TeeName
from infra.clouds.gcp.image import GcpImages
from infra.clouds.gcp.network import GcpNetwork
from infra.fleet import ImageSpec, MachineSpec, NetworkSpec
from infra.machine import MACHINE, LaunchedMachine, machine_options

# What the API calls a TEE, and the platform it has to be asked for with.
_TEES: Mapping[TeeName, tuple[str, str | None]] = MappingProxyType(
    {"tdx": ("TDX", None), "sev-snp": ("SEV_SNP", "AMD Milan")}
)
_TIER = "PREMIUM"


class GcpCloud:
    """Compute Engine, with one network per region in use."""

    def __init__(
        self, networks: Sequence[NetworkSpec], images: Sequence[ImageSpec], options: pulumi.ResourceOptions
    ) -> None:
        self._options = options
        self._networks = {spec.region: GcpNetwork(spec, options) for spec in networks}
        self._images = GcpImages(images, options)

    def launch(self, spec: MachineSpec, user_data: bytes) -> LaunchedMachine:
        """Register the machine and all that is its own; it boots with exactly `user_data`."""
        image = self._images.image(spec.image)
        network = self._networks[spec.machine.region]
        return GcpMachine(spec, user_data, image, network, self._options).launched


class GcpMachine(pulumi.ComponentResource):
    """One instance and what belongs to it alone."""

    def __init__(
        self,
        spec: MachineSpec,
        user_data: bytes,
        image: pulumi.Output[str],
        network: GcpNetwork,
        options: pulumi.ResourceOptions,
    ) -> None:
        super().__init__("tunnel:gcp:Machine", spec.name, None, machine_options(spec, options))
        self._spec, self._image, self._network = spec, image, network
        self._child = pulumi.ResourceOptions(parent=self)
        if spec.inbound:
            self._firewall("", "0.0.0.0/0")
            if spec.ipv6:
                self._firewall("-ipv6", "::/0")
        ipv4 = self._address_ipv4() if spec.public_address else None
        ipv6 = self._address_ipv6() if spec.ipv6 else None
        instance = self._instance(user_data, self._interface(ipv4, ipv6))
        self.launched = LaunchedMachine(
            name=spec.name,
            instance=instance.instance_id,
            ipv4=ipv4.address if ipv4 is not None else None,
            ipv6=ipv6.address if ipv6 is not None else None,
        )
        self.register_outputs({"instance": instance.instance_id, "ipv4": self.launched.ipv4})

    def _firewall(self, suffix: str, everybody: str) -> None:
        spec = self._spec
        compute.Firewall(
            f"{spec.name}-firewall{suffix}",
            network=self._network.network.id,
            direction="INGRESS",
            allows=[compute.FirewallAllowArgs(protocol="tcp", ports=[str(port) for port in spec.inbound])],
            source_ranges=[everybody],
            target_tags=[spec.name],
            opts=self._child,
        )

    def _address_ipv4(self) -> compute.Address:
        spec = self._spec
        return compute.Address(
            f"{spec.name}-address",
            region=spec.machine.region,
            address_type="EXTERNAL",
            network_tier=_TIER,
            labels=spec.tags,
            opts=self._child,
        )

    def _address_ipv6(self) -> compute.Address:
        spec = self._spec
        return compute.Address(
            f"{spec.name}-address-ipv6",
            region=spec.machine.region,
            address_type="EXTERNAL",
            ip_version="IPV6",
            ipv6_endpoint_type="VM",
            subnetwork=self._network.subnetwork.id,
            network_tier=_TIER,
            labels=spec.tags,
            opts=self._child,
        )

    def _interface(
        self, ipv4: compute.Address | None, ipv6: compute.Address | None
    ) -> compute.InstanceNetworkInterfaceArgs:
        return compute.InstanceNetworkInterfaceArgs(
            subnetwork=self._network.subnetwork.id,
            nic_type="GVNIC",
            stack_type="IPV4_IPV6" if ipv6 is not None else "IPV4_ONLY",
            access_configs=[
                compute.InstanceNetworkInterfaceAccessConfigArgs(nat_ip=ipv4.address, network_tier=_TIER)
            ]
            if ipv4 is not None
            else None,
            ipv6_access_configs=[
                compute.InstanceNetworkInterfaceIpv6AccessConfigArgs(
                    external_ipv6=ipv6.address, external_ipv6_prefix_length="96", network_tier=_TIER
                )
            ]
            if ipv6 is not None
            else None,
        )

    def _instance(
        self, user_data: bytes, interface: compute.InstanceNetworkInterfaceArgs
    ) -> compute.Instance:
        spec = self._spec
        tee, platform = _TEES[spec.machine.tee]
        return compute.Instance(
            f"{spec.name}-vm",
            zone=spec.machine.zone,
            machine_type=spec.machine.type,
            min_cpu_platform=platform,
            confidential_instance_config=compute.InstanceConfidentialInstanceConfigArgs(
                enable_confidential_compute=True, confidential_instance_type=tee
            ),
            scheduling=compute.InstanceSchedulingArgs(
                on_host_maintenance="TERMINATE", automatic_restart=True
            ),
            shielded_instance_config=compute.InstanceShieldedInstanceConfigArgs(
                # The UKI is unsigned in this release; PCR 4 is pinned instead (docs/images.md).
                enable_secure_boot=False,
                enable_vtpm=True,
                enable_integrity_monitoring=True,
            ),
            boot_disk=compute.InstanceBootDiskArgs(
                auto_delete=True,
                initialize_params=compute.InstanceBootDiskInitializeParamsArgs(
                    image=self._image, type="pd-balanced"
                ),
            ),
            network_interfaces=[interface],
            metadata={"user-data": user_data.decode(), "block-project-ssh-keys": "true"},
            tags=[spec.name],
            labels=spec.tags,
            opts=pulumi.ResourceOptions.merge(
                # Settings are measured at boot and never change: other settings are another machine.
                self._child,
                pulumi.ResourceOptions(
                    replace_on_changes=["metadata"], delete_before_replace=True, custom_timeouts=MACHINE
                ),
            ),
        )
