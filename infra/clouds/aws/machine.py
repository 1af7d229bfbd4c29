"""One SEV-SNP guest on EC2 with NitroTPM: its security group, address and instance. Resources only."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from infra.clouds.aws.image import AwsImages
from infra.clouds.aws.network import AwsNetwork
from infra.fleet import ImageSpec, MachineSpec, NetworkSpec
from infra.machine import MACHINE, LaunchedMachine, after, machine_options


class AwsCloud:
    """EC2, with one network per region in use."""

    def __init__(
        self, networks: Sequence[NetworkSpec], images: Sequence[ImageSpec], options: pulumi.ResourceOptions
    ) -> None:
        self._options = options
        self._networks = {spec.region: AwsNetwork(spec, options) for spec in networks}
        self._images = AwsImages(images, options)

    def launch(self, spec: MachineSpec, user_data: bytes) -> LaunchedMachine:
        """Register the machine and all that is its own; it boots with exactly `user_data`."""
        image = self._images.ami(spec.image, spec.machine.region)
        network = self._networks[spec.machine.region]
        return AwsMachine(spec, user_data, image, network, self._options).launched


class AwsMachine(pulumi.ComponentResource):
    """One instance and what belongs to it alone."""

    def __init__(
        self,
        spec: MachineSpec,
        user_data: bytes,
        image: pulumi.Output[str],
        network: AwsNetwork,
        options: pulumi.ResourceOptions,
    ) -> None:
        super().__init__("tunnel:aws:Machine", spec.name, None, machine_options(spec, options))
        self._spec, self._image = spec, image
        self._child = pulumi.ResourceOptions(parent=self)
        instance = self._instance(user_data, network, self._firewall(network))
        address = self._address(instance) if spec.public_address else None
        self.launched = LaunchedMachine(
            name=spec.name,
            instance=instance.id,
            ipv4=address,
            ipv6=instance.ipv6_addresses.apply(lambda found: found[0]) if spec.ipv6 else None,
        )
        self.register_outputs({"instance": instance.id, "ipv4": address})

    def _firewall(self, network: AwsNetwork) -> aws.ec2.SecurityGroup:
        spec = self._spec
        group = aws.ec2.SecurityGroup(
            f"{spec.name}-firewall",
            region=spec.machine.region,
            description=f"tunnel {spec.role} {spec.name}",
            vpc_id=network.vpc.id,
            tags=spec.tags,
            opts=self._child,
        )
        families = {"ipv4": "0.0.0.0/0", **({"ipv6": "::/0"} if spec.ipv6 else {})}
        for family, everybody in families.items():
            cidr_ipv4, cidr_ipv6 = (everybody, None) if family == "ipv4" else (None, everybody)
            for port in spec.inbound:
                aws.vpc.SecurityGroupIngressRule(
                    f"{spec.name}-in-{port}-{family}",
                    region=spec.machine.region,
                    security_group_id=group.id,
                    ip_protocol="tcp",
                    from_port=port,
                    to_port=port,
                    cidr_ipv4=cidr_ipv4,
                    cidr_ipv6=cidr_ipv6,
                    opts=self._child,
                )
            # Out to everywhere: endorsers, document URLs and servers have no addresses known beforehand.
            aws.vpc.SecurityGroupEgressRule(
                f"{spec.name}-out-{family}",
                region=spec.machine.region,
                security_group_id=group.id,
                ip_protocol="-1",
                cidr_ipv4=cidr_ipv4,
                cidr_ipv6=cidr_ipv6,
                opts=self._child,
            )
        return group

    def _instance(
        self, user_data: bytes, network: AwsNetwork, firewall: aws.ec2.SecurityGroup
    ) -> aws.ec2.Instance:
        spec = self._spec
        subnets = network.public if spec.public_address else network.private
        return aws.ec2.Instance(
            f"{spec.name}-vm",
            region=spec.machine.region,
            ami=self._image,
            instance_type=spec.machine.type,
            availability_zone=spec.machine.zone,
            cpu_options=aws.ec2.InstanceCpuOptionsArgs(amd_sev_snp="enabled"),
            metadata_options=aws.ec2.InstanceMetadataOptionsArgs(
                http_endpoint="enabled",
                http_tokens="required",
                http_put_response_hop_limit=1,
                instance_metadata_tags="disabled",
            ),
            root_block_device=aws.ec2.InstanceRootBlockDeviceArgs(
                encrypted=True, volume_type="gp3", delete_on_termination=True
            ),
            subnet_id=subnets[spec.machine.zone].id,
            vpc_security_group_ids=[firewall.id],
            associate_public_ip_address=False,
            ipv6_address_count=1 if spec.ipv6 else None,
            user_data_base64=base64.b64encode(user_data).decode(),
            # Settings are measured at boot and never change: other settings are another machine.
            user_data_replace_on_change=True,
            tags=spec.tags,
            opts=pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(custom_timeouts=MACHINE)),
        )

    def _address(self, instance: aws.ec2.Instance) -> pulumi.Output[str]:
        spec = self._spec
        address = aws.ec2.Eip(
            f"{spec.name}-address", region=spec.machine.region, domain="vpc", tags=spec.tags, opts=self._child
        )
        association = aws.ec2.EipAssociation(
            f"{spec.name}-address",
            region=spec.machine.region,
            allocation_id=address.allocation_id,
            instance_id=instance.id,
            opts=self._child,
        )
        return after(address.public_ip, association.id)  # before that it leads nowhere
