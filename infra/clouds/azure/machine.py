"""One confidential VM on Azure: its rules, address, interface and machine. Resources only."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import pulumi
from pulumi_azure_native import compute
from pulumi_azure_native import network as net

from infra.clouds.azure.image import AzureImages
from infra.clouds.azure.network import AzureNetwork
from infra.fleet import ImageSpec, MachineSpec, NetworkSpec
from infra.machine import MACHINE, LaunchedMachine, machine_options

_FIRST_RULE = 100
_LAST_RULE = 4096  # lowest priority that a rule of ours may have: before Azure's own "allow the network"


class AzureCloud:
    """Azure, with one network per region in use."""

    def __init__(
        self, networks: Sequence[NetworkSpec], images: Sequence[ImageSpec], options: pulumi.ResourceOptions
    ) -> None:
        self._options = options
        self._networks = {spec.region: AzureNetwork(spec, options) for spec in networks}
        self._images = AzureImages(images, options)

    def launch(self, spec: MachineSpec, user_data: bytes) -> LaunchedMachine:
        """Register the machine and all that is its own; it boots with exactly `user_data`."""
        image = self._images.image(spec.image)
        network = self._networks[spec.machine.region]
        return AzureMachine(spec, user_data, image, network, self._options).launched


class AzureMachine(pulumi.ComponentResource):
    """One virtual machine and what belongs to it alone."""

    def __init__(
        self,
        spec: MachineSpec,
        user_data: bytes,
        image: pulumi.Output[str],
        network: AzureNetwork,
        options: pulumi.ResourceOptions,
    ) -> None:
        super().__init__("tunnel:azure:Machine", spec.name, None, machine_options(spec, options))
        self._spec, self._image, self._network = spec, image, network
        self._child = pulumi.ResourceOptions(parent=self)
        ipv4 = self._address(net.IPVersion.I_PV4) if spec.public_address else None
        ipv6 = self._address(net.IPVersion.I_PV6) if spec.ipv6 else None
        machine = self._virtual_machine(user_data, self._interface(self._firewall(), ipv4, ipv6))
        instance = machine.vm_id.apply(str.lower)  # Azure spells it in both cases, a fleet document in one
        self.launched = LaunchedMachine(
            name=spec.name,
            instance=instance,
            ipv4=_value(ipv4),
            ipv6=_value(ipv6),
        )
        self.register_outputs({"instance": instance, "ipv4": self.launched.ipv4})

    def _firewall(self) -> net.NetworkSecurityGroup:
        spec = self._spec
        rules = [
            _rule(
                f"in-{port}",
                net.SecurityRuleAccess.ALLOW,
                net.SecurityRuleProtocol.TCP,
                str(port),
                _FIRST_RULE + n,
            )
            for n, port in enumerate(spec.inbound)
        ]
        rules.append(
            _rule(
                "nothing-else",
                net.SecurityRuleAccess.DENY,
                net.SecurityRuleProtocol.ASTERISK,
                "*",
                _LAST_RULE,
            )
        )
        return net.NetworkSecurityGroup(
            f"{spec.name}-firewall",
            resource_group_name=self._network.group.name,
            location=spec.machine.region,
            security_rules=rules,
            tags=spec.tags,
            opts=self._child,
        )

    def _address(self, version: net.IPVersion) -> net.PublicIPAddress:
        spec = self._spec
        suffix = "" if version is net.IPVersion.I_PV4 else "-ipv6"
        return net.PublicIPAddress(
            f"{spec.name}-address{suffix}",
            resource_group_name=self._network.group.name,
            location=spec.machine.region,
            zones=[spec.machine.zone],
            sku=net.PublicIPAddressSkuArgs(name=net.PublicIPAddressSkuName.STANDARD),
            public_ip_allocation_method=net.IPAllocationMethod.STATIC,
            public_ip_address_version=version,
            tags=spec.tags,
            opts=self._child,
        )

    def _interface(
        self,
        firewall: net.NetworkSecurityGroup,
        ipv4: net.PublicIPAddress | None,
        ipv6: net.PublicIPAddress | None,
    ) -> net.NetworkInterface:
        spec = self._spec
        subnet = net.SubnetArgs(id=self._network.subnet_of(public=spec.public_address).id)
        families = [(net.IPVersion.I_PV4, ipv4)]
        if ipv6 is not None:
            families.append((net.IPVersion.I_PV6, ipv6))
        return net.NetworkInterface(
            f"{spec.name}-interface",
            resource_group_name=self._network.group.name,
            location=spec.machine.region,
            network_security_group=net.NetworkSecurityGroupArgs(id=firewall.id),
            ip_configurations=[
                net.NetworkInterfaceIPConfigurationArgs(
                    name=version.value.lower(),
                    primary=version is net.IPVersion.I_PV4,
                    private_ip_address_version=version,
                    private_ip_allocation_method=net.IPAllocationMethod.DYNAMIC,
                    subnet=subnet,
                    public_ip_address=net.PublicIPAddressArgs(id=address.id) if address is not None else None,
                )
                for version, address in families
            ],
            tags=spec.tags,
            opts=self._child,
        )

    def _virtual_machine(self, user_data: bytes, interface: net.NetworkInterface) -> compute.VirtualMachine:
        spec = self._spec
        return compute.VirtualMachine(
            f"{spec.name}-vm",
            resource_group_name=self._network.group.name,
            location=spec.machine.region,
            zones=[spec.machine.zone],
            hardware_profile=compute.HardwareProfileArgs(vm_size=spec.machine.type),
            security_profile=compute.SecurityProfileArgs(
                security_type=compute.SecurityTypes.CONFIDENTIAL_VM,
                # The UKI is unsigned in this release; PCR 4 is pinned instead (docs/images.md).
                uefi_settings=compute.UefiSettingsArgs(secure_boot_enabled=False, v_tpm_enabled=True),
            ),
            storage_profile=compute.StorageProfileArgs(
                image_reference=compute.ImageReferenceArgs(id=self._image),
                os_disk=compute.OSDiskArgs(
                    create_option=compute.DiskCreateOptionTypes.FROM_IMAGE,
                    delete_option=compute.DiskDeleteOptionTypes.DELETE,
                    managed_disk=compute.ManagedDiskParametersArgs(
                        storage_account_type=compute.StorageAccountTypes.PREMIUM_LRS,
                        security_profile=compute.VMDiskSecurityProfileArgs(
                            # The disk itself is public and verity-checked; only the vTPM's state is sealed.
                            security_encryption_type=compute.SecurityEncryptionTypes.VM_GUEST_STATE_ONLY
                        ),
                    ),
                ),
            ),
            network_profile=compute.NetworkProfileArgs(
                network_interfaces=[
                    compute.NetworkInterfaceReferenceArgs(
                        id=interface.id, primary=True, delete_option=compute.DeleteOptions.DELETE
                    )
                ]
            ),
            # No OS profile: it would want an account, which the image has not, and its custom data needs one.
            # The settings are the user data that the metadata service hands out.
            user_data=base64.b64encode(user_data).decode(),
            diagnostics_profile=compute.DiagnosticsProfileArgs(
                boot_diagnostics=compute.BootDiagnosticsArgs(
                    enabled=True
                )  # the console line of a VM that waits
            ),
            tags=spec.tags,
            opts=pulumi.ResourceOptions.merge(
                # Settings are measured at boot and never change: other settings are another machine.
                self._child,
                pulumi.ResourceOptions(
                    replace_on_changes=["userData"], delete_before_replace=True, custom_timeouts=MACHINE
                ),
            ),
        )


def _rule(
    name: str, access: net.SecurityRuleAccess, protocol: net.SecurityRuleProtocol, ports: str, priority: int
) -> net.SecurityRuleArgs:
    return net.SecurityRuleArgs(
        name=name,
        access=access,
        direction=net.SecurityRuleDirection.INBOUND,
        protocol=protocol,
        priority=priority,
        source_address_prefix="*",
        source_port_range="*",
        destination_address_prefix="*",
        destination_port_range=ports,
    )


def _value(address: net.PublicIPAddress | None) -> pulumi.Output[str] | None:
    return None if address is None else address.ip_address.apply(lambda found: found or "")
