"""Deliberate mistakes, and a process that previews each: the SDKs are loaded once for all of them.

A mistake of the program is made where a person would make it: in the arguments that a resource is made with.
`python -m tests.infra.mistakes` answers with what each preview said; with --table, with docs/resources.md.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import json
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from infra import planning, resources
from infra.localmock import runs, tree
from infra.localmock.analyzer import Analyzer
from infra.stacks import StackSettings
from runtime.errors import DocumentError
from tests.infra.release import everything, release_fleet

Arguments = dict[str, Any]
SDKS = ("pulumi_aws", "pulumi_azure_native", "pulumi_command", "pulumi_gcp")


def put(**values: Any) -> Callable[[Arguments], None]:
    """Edit: these arguments instead of the program's own."""
    return lambda arguments: arguments.update(values)


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One mistake: in the program (`at` names the resource's class) or in the configuration."""

    role: str
    told: tuple[str, ...]  # resource, property, value, remedy: all in one line of the refusal
    at: str = ""
    name: str = ""  # of the one resource that is made wrongly; empty: of every one of the class
    edit: Callable[[Arguments], None] = field(default=lambda _: None)


EC2, AZURE, GCE = (
    "pulumi_aws.ec2.Instance",
    "pulumi_azure_native.compute.VirtualMachine",
    "pulumi_gcp.compute.Instance",
)
RECORD = "pulumi_aws.route53.Record"
SNP = {"amd_sev_snp": "enabled"}
IMDS: Arguments = {"http_endpoint": "enabled", "http_tokens": "required", "http_put_response_hop_limit": 1}
UEFI = {"secure_boot_enabled": False, "v_tpm_enabled": True}


def security(**changes: Any) -> dict[str, Any]:
    return {"security_profile": {"security_type": "ConfidentialVM", "uefi_settings": UEFI} | changes}


def os_disk(**changes: Any) -> dict[str, Any]:
    sealed = {"security_profile": {"security_encryption_type": "VMGuestStateOnly"}}
    disk = {"create_option": "FromImage", "managed_disk": sealed} | changes
    return {
        "storage_profile": {"image_reference": {"id": "x"}, "os_disk": {k: v for k, v in disk.items() if v}}
    }


def shielded(**changes: Any) -> dict[str, Any]:
    good = {"enable_secure_boot": False, "enable_vtpm": True}
    return {"shielded_instance_config": {k: v for k, v in (good | changes).items() if v is not None}}


# fmt: off
PROGRAM: dict[str, Mistake] = {
    # types
    "number as text": Mistake(role="aws", at=EC2, name="aws-1-vm",
        edit=put(metadata_options=IMDS | {"http_put_response_hop_limit": "one"}),
        told=("aws-1-vm", "metadataOptions.httpPutResponseHopLimit", "'one'", "want int")),
    "text for a truth": Mistake(role="aws", at="pulumi_aws.ec2.Vpc", edit=put(enable_dns_support="yes"),
        told=("aws-us-east-2-vpc", "enableDnsSupport", "'yes'", "want bool")),
    "port as words": Mistake(role="aws", at="pulumi_aws.vpc.SecurityGroupIngressRule", name="aws-1-in-443-ipv4",
        edit=put(from_port="https"), told=("aws-1-in-443-ipv4", "fromPort", "'https'", "want int")),
    "text for a list": Mistake(role="azure", at=AZURE, name="azure-1-vm", edit=put(zones="1"),
        told=("azure-1-vm", "zones", "'1'", "want a list")),
    "list of a wrong kind": Mistake(role="gcp", at="pulumi_gcp.compute.Firewall", name="gcp-1-firewall",
        edit=put(allows=[{"protocol": "tcp", "ports": "443"}]),
        told=("gcp-1-firewall", "allows[0].ports", "'443'", "want a list")),
    # enumerations, curated and mined
    "snp spelled wrong": Mistake(role="aws", at=EC2, name="aws-1-vm", edit=put(cpu_options={"amd_sev_snp": "enable"}),
        told=("aws-1-vm", "cpuOptions.amdSevSnp", "'enable'", "did you mean 'enabled'")),
    "boot mode": Mistake(role="aws", at="pulumi_aws.ec2.Ami", edit=put(boot_mode="efi"),
        told=("-ami", "bootMode", "'efi'", "did you mean 'uefi'")),
    "snapshot format": Mistake(role="aws", at="pulumi_aws.ebs.SnapshotImport",
        edit=put(disk_container={"format": "QCOW2", "user_bucket": {"s3_bucket": "b", "s3_key": "k"}}),
        told=("-snapshot", "diskContainer.format", "'QCOW2'", "want one of RAW, VHD, VMDK")),
    "tenancy, mined": Mistake(role="aws", at=EC2, name="aws-1-vm", edit=put(tenancy="dedicate"),
        told=("aws-1-vm", "tenancy", "'dedicate'", "did you mean 'dedicated'")),
    "checksum, mined": Mistake(role="aws", at="pulumi_aws.s3.BucketObjectv2", edit=put(checksum_algorithm="SHA512"),
        told=("-file", "checksumAlgorithm", "'SHA512'", "want one of CRC32")),
    "security type": Mistake(role="azure", at=AZURE, name="azure-1-vm", edit=put(**security(security_type="ConfidentialVm")),
        told=("azure-1-vm", "securityProfile.securityType", "'ConfidentialVm'", "did you mean 'ConfidentialVM'")),
    "disk sealing": Mistake(role="azure", at=AZURE, name="azure-1-vm",
        edit=put(**os_disk(managed_disk={"security_profile": {"security_encryption_type": "DiskWithVMGuestStat"}})),
        told=("azure-1-vm", "securityEncryptionType", "'DiskWithVMGuestStat'", "did you mean 'DiskWithVMGuestState'")),
    "hyper-v generation": Mistake(role="azure", at="pulumi_azure_native.compute.GalleryImage",
        edit=put(hyper_v_generation="V3"), told=("azure-image-definition", "hyperVGeneration", "'V3'", "want one of V1, V2")),
    "gallery feature": Mistake(role="azure", at="pulumi_azure_native.compute.GalleryImage",
        edit=put(features=[{"name": "SecurityType", "value": "ConfidentialVmSupported"}]),
        told=("azure-image-definition", "features[0].value", "'ConfidentialVmSupported'", "did you mean 'ConfidentialVMSupported'")),
    "confidential type": Mistake(role="gcp", at=GCE, name="gcp-1-vm",
        edit=put(confidential_instance_config={"confidential_instance_type": "TDX2"}),
        told=("gcp-1-vm", "confidentialInstanceType", "'TDX2'", "did you mean 'TDX'")),
    "guest feature": Mistake(role="gcp", at="pulumi_gcp.compute.Image", edit=put(guest_os_features=[{"type": "SEV_SNP"}]),
        told=("-image", "guestOsFeatures[0].type", "'SEV_SNP'", "did you mean 'SEV_SNP_CAPABLE'")),
    "health check type": Mistake(role="dns", at="pulumi_aws.route53.HealthCheck", edit=put(type="HTTPSS"),
        told=("-health", "type", "'HTTPSS'", "did you mean 'HTTPS'")),
    "record type": Mistake(role="dns", at=RECORD, name="tunnel.demo.test-a", edit=put(type="AA"),
        told=("tunnel.demo.test-a", "type", "'AA'", "want one of A, AAAA")),
    # missing fields
    "no object key": Mistake(role="aws", at="pulumi_aws.ebs.SnapshotImport",
        edit=put(disk_container={"format": "RAW", "user_bucket": {"s3_bucket": "b"}}),
        told=("-snapshot", "diskContainer.userBucket.s3Key", "is missing", "requires it")),
    "no device name": Mistake(role="aws", at="pulumi_aws.ec2.Ami", edit=put(ebs_block_devices=[{"volume_type": "gp3"}]),
        told=("-ami", "ebsBlockDevices[0].deviceName", "is missing", "requires it")),
    "no create option": Mistake(role="azure", at=AZURE, name="azure-1-vm", edit=put(**os_disk(create_option=None)),
        told=("azure-1-vm", "storageProfile.osDisk.createOption", "is missing", "requires it")),
    "no protocol": Mistake(role="gcp", at="pulumi_gcp.compute.Firewall", name="gcp-1-firewall", edit=put(allows=[{"ports": ["443"]}]),
        told=("gcp-1-firewall", "allows[0].protocol", "is missing", "requires it")),
    # typos in dict literals, which the SDK itself lets through
    "amd_sev_snpp": Mistake(role="aws", at=EC2, name="aws-1-vm", edit=put(cpu_options={"amd_sev_snpp": "enabled"}),
        told=("aws-1-vm", "cpuOptions.amd_sev_snpp", "unknown field", "did you mean 'amdSevSnp'")),
    "v_tpm_enable": Mistake(role="azure", at=AZURE, name="azure-1-vm",
        edit=put(**security(uefi_settings={"secureBootEnabled": False, "vTpmEnable": True})),
        told=("azure-1-vm", "uefiSettings.vTpmEnable", "unknown field", "did you mean 'vTpmEnabled'")),
    "enableVtmp": Mistake(role="gcp", at=GCE, name="gcp-1-vm", edit=put(shielded_instance_config={"enableVtmp": True}),
        told=("gcp-1-vm", "shieldedInstanceConfig.enableVtmp", "unknown field", "did you mean 'enableVtpm'")),
    # guardrails
    "imds v1": Mistake(role="aws", at=EC2, name="aws-1-vm", edit=put(metadata_options=IMDS | {"http_tokens": "optional"}),
        told=("aws-1-vm", "[closed-metadata-service]", "metadataOptions.httpTokens is 'optional'", "want 'required'")),
    "no snp": Mistake(role="aws", at=EC2, name="aws-1-vm", edit=put(cpu_options=None),
        told=("aws-1-vm", "[confidential]", "cpuOptions.amdSevSnp is missing", "want 'enabled'")),
    "ssh key": Mistake(role="aws", at=EC2, name="aws-1-vm", edit=put(key_name="admin"),
        told=("aws-1-vm", "[nobody-logs-in]", "keyName is 'admin'", "want nothing there")),
    "instance profile": Mistake(role="aws", at=EC2, name="aws-1-vm", edit=put(iam_instance_profile="admin"),
        told=("aws-1-vm", "[no-identity]", "iamInstanceProfile is 'admin'", "want nothing there")),
    "disk in the clear": Mistake(role="aws", at=EC2, name="aws-1-vm", edit=put(root_block_device={"encrypted": False}),
        told=("aws-1-vm", "[disks-encrypted]", "rootBlockDevice.encrypted is False", "want True")),
    "ssh open": Mistake(role="aws", at="pulumi_aws.vpc.SecurityGroupIngressRule", name="aws-1-in-443-ipv4",
        edit=put(from_port=22, to_port=22), told=("aws-1-in-443-ipv4", "[one-port-at-a-time]", "fromPort is 22", "no SSH")),
    "ports open in a row": Mistake(role="aws", at="pulumi_aws.vpc.SecurityGroupIngressRule", name="aws-1-in-443-ipv4",
        edit=put(to_port=9443), told=("aws-1-in-443-ipv4", "[one-port-at-a-time]", "toPort is 9443", "want 443")),
    "a script as settings": Mistake(role="aws", at=EC2, name="aws-1-vm", edit=put(user_data_base64="IyEvYmluL3NoCg=="),
        told=("aws-1-vm", "[settings-only]", "userDataBase64 is 'IyEvYmluL3NoCg=='", "the settings that infra/settings.py writes")),
    "a type without snp": Mistake(role="aws", at=EC2, name="aws-1-vm", edit=put(instance_type="m7i.large"),
        told=("aws-1-vm", "[known-hardware]", "instanceType is 'm7i.large'", "the nearest is 'm6a.large'")),
    "another image": Mistake(role="aws", at=EC2, name="aws-1-vm", edit=lambda a: a.update(tags={**a["tags"], "tunnel-image": "ab"}),
        told=("aws-1-vm", "[image-pinned]", "tags.tunnel-image is 'ab'", "want the manifest of an image that this stack publishes")),
    "no tags": Mistake(role="aws", at=EC2, name="aws-1-vm", edit=put(tags={}),
        told=("aws-1-vm", "[tagged]", "tags.tunnel-fleet is missing", "want a value")),
    "ami without tpm": Mistake(role="aws", at="pulumi_aws.ec2.Ami", edit=put(tpm_support=None),
        told=("-ami", "[ami-measures]", "tpmSupport is missing", "want 'v2.0'")),
    "public bucket": Mistake(role="aws", at="pulumi_aws.s3.BucketPublicAccessBlock", edit=put(block_public_policy=False),
        told=("-images-private", "[private-buckets]", "blockPublicPolicy is False", "want True")),
    "inline rules": Mistake(role="aws", at="pulumi_aws.ec2.SecurityGroup", name="aws-1-firewall",
        edit=put(ingress=[{"protocol": "tcp", "from_port": 443, "to_port": 443, "cidr_blocks": ["0.0.0.0/0"]}]),
        told=("aws-1-firewall", "[rules-apart]", "ingress is [", "rules of their own")),
    "addresses by chance": Mistake(role="aws", at="pulumi_aws.ec2.Subnet", edit=put(map_public_ip_on_launch=True),
        told=("-public", "[no-stray-address]", "mapPublicIpOnLaunch is True", "want False")),
    "secure boot on": Mistake(role="azure", at=AZURE, name="azure-1-vm",
        edit=put(**security(uefi_settings={"secure_boot_enabled": True, "v_tpm_enabled": True})),
        told=("azure-1-vm", "[measured-boot]", "secureBootEnabled is True", "want False")),
    "an account": Mistake(role="azure", at=AZURE, name="azure-1-vm", edit=put(os_profile={"admin_username": "azureuser"}),
        told=("azure-1-vm", "[nobody-logs-in]", "osProfile is {", "want nothing there")),
    "an open nsg": Mistake(role="azure", at="pulumi_azure_native.network.NetworkSecurityGroup", name="azure-1-firewall",
        edit=put(security_rules=[]), told=("azure-1-firewall", "[closed-by-default]", "securityRules is 0", "denies all")),
    "an open client": Mistake(role="azure", at="pulumi_azure_native.network.NetworkSecurityGroup", name="client-2-firewall",
        edit=lambda a: a["security_rules"].append({"name": "in", "access": "Allow", "direction": "Inbound", "protocol": "Tcp",
            "priority": 100, "source_address_prefix": "*", "source_port_range": "*", "destination_address_prefix": "*",
            "destination_port_range": "443"}),
        told=("client-2-firewall", "[closed-by-default]", "destinationPortRange is 'in'", "nothing inbound for a client")),
    "a dynamic address": Mistake(role="azure", at="pulumi_azure_native.network.PublicIPAddress", name="azure-1-address",
        edit=put(public_ip_allocation_method="Dynamic"),
        told=("azure-1-address", "[static-address]", "publicIPAllocationMethod is 'Dynamic'", "want 'Static'")),
    "egress by default": Mistake(role="azure", at="pulumi_azure_native.network.Subnet", edit=put(default_outbound_access=True),
        told=("-public", "[no-default-outbound]", "defaultOutboundAccess is True", "want False")),
    "a public account": Mistake(role="azure", at="pulumi_azure_native.storage.StorageAccount", edit=put(allow_blob_public_access=True),
        told=("tunnelimages", "[private-buckets]", "allowBlobPublicAccess is True", "want False")),
    "a foreign image": Mistake(role="azure", at=AZURE, name="azure-1-vm",
        edit=put(storage_profile={"image_reference": {"publisher": "Canonical"}, "os_disk": os_disk()["storage_profile"]["os_disk"]}),
        told=("azure-1-vm", "[own-gallery]", "imageReference.publisher is 'Canonical'", "the fleet's own gallery image")),
    "latest": Mistake(role="azure", at="pulumi_azure_native.compute.GalleryImageVersion", edit=put(publishing_profile={}),
        told=("-version", "[no-latest]", "excludeFromLatest is missing", "nobody boots the newest")),
    "a gallery for anybody": Mistake(role="azure", at="pulumi_azure_native.compute.GalleryImage", edit=put(features=[]),
        told=("azure-image-definition", "[gallery-confidential]", "SecurityType is missing", "'ConfidentialVMSupported'")),
    "migrates": Mistake(role="gcp", at=GCE, name="gcp-1-vm", edit=put(scheduling={"on_host_maintenance": "MIGRATE"}),
        told=("gcp-1-vm", "[terminate-on-maintenance]", "onHostMaintenance is 'MIGRATE'", "want 'TERMINATE'")),
    "no vtpm": Mistake(role="gcp", at=GCE, name="gcp-1-vm", edit=put(**shielded(enable_vtpm=False)),
        told=("gcp-1-vm", "[measured-boot]", "enableVtpm is False", "want True")),
    "a service account": Mistake(role="gcp", at=GCE, name="gcp-1-vm", edit=put(service_account={"scopes": ["cloud-platform"]}),
        told=("gcp-1-vm", "[no-identity]", "serviceAccount is {", "want nothing there")),
    "a firewall for all": Mistake(role="gcp", at="pulumi_gcp.compute.Firewall", name="gcp-1-firewall", edit=put(target_tags=[]),
        told=("gcp-1-firewall", "[narrow-firewall]", "targetTags is []", "the tag of one server")),
    "a dialled client": Mistake(role="gcp", at="pulumi_gcp.compute.Firewall", name="gcp-1-firewall", edit=put(target_tags=["client-1"]),
        told=("gcp-1-firewall", "[clients-closed]", "targetTags is 'client-1'", "it dials out")),
    "an image for nobody": Mistake(role="gcp", at="pulumi_gcp.compute.Image", edit=put(guest_os_features=[{"type": "GVNIC"}]),
        told=("-image", "[guest-features]", "guestOsFeatures is ['GVNIC']", "TDX_CAPABLE too")),
    "a long ttl": Mistake(role="dns", at=RECORD, name="tunnel.demo.test-a", edit=put(ttl=3600),
        told=("tunnel.demo.test-a", "[short-ttl]", "ttl is 3600", "want 1 to 60")),
    "a private address": Mistake(role="dns", at=RECORD, name="tunnel.demo.test-a", edit=put(records=["10.0.0.1", "198.18.0.1"]),
        told=("tunnel.demo.test-a", "[public-addresses]", "records is '10.0.0.1'", "a public address")),
    "health without sni": Mistake(role="dns", at="pulumi_aws.route53.HealthCheck", edit=put(enable_sni=False),
        told=("-health", "[checked-health]", "enableSni is False", "want True")),
    "no delegation": Mistake(role="dns", at=RECORD, name="t.demo.test-ns", edit=put(type="TXT"),
        told=("t.demo.test-zone", "[delegated]", "name is 't.demo.test'", "an NS record of it in demo.test")),
}
# fmt: on


def fleet_of(release: Arguments, role: str) -> Arguments:
    """Return a fleet of one cloud, or of one cloud and two zones: as little as a preview can be about."""
    fleet = copy.deepcopy(release)
    if role == "dns":
        # A zone at the same provider: a second SDK would cost seconds.
        fleet["dns"]["zones"].append({"name": "t.demo.test", "providers": ["route53"]})
    cloud = "aws" if role == "dns" else role
    fleet["servers"] = [server for server in fleet["servers"] if server["cloud"] == cloud]
    fleet["clients"] = [client for client in fleet["clients"] if client["cloud"] == cloud]
    return fleet


@contextlib.contextmanager
def made(mistake: Mistake) -> Generator[None, None, None]:
    """Make one mistake wherever the program makes that resource."""
    place, _, name = mistake.at.rpartition(".")
    package, _, room = place.partition(".")
    module: Any = getattr(importlib.import_module(package), room)
    real = getattr(module, name)

    def wrong(resource: str, **arguments: Any) -> Any:
        if mistake.name in {"", resource}:
            mistake.edit(arguments)
        return real(resource, **arguments)

    setattr(module, name, wrong)
    try:
        yield
    finally:
        setattr(module, name, real)


def preview(release: Arguments, role: str, analyzer: Analyzer) -> list[str]:
    """Return every problem of one preview."""
    stack = f"{role}-prod"
    fleet = fleet_of(release, role)
    plan = planning.load(fleet, stack)
    settings = StackSettings(stack=stack, role=role, fleet=fleet, protect=None)
    result = runs.dry_run(settings, plan)
    try:
        runs.check_inputs(result, analyzer.judge(result))
    except DocumentError as error:
        return [str(problem) for problem in error.problems]
    return []


def table() -> str:
    """Return docs/resources.md for the program as it is."""
    stack = "all-prod"
    fleet = everything()
    settings = StackSettings(stack=stack, role="all", fleet=fleet, protect=None)
    return resources.render(tree.document(runs.dry_run(settings, planning.load(fleet, stack))))


def main() -> None:
    """Answer {mistake: problems}; each role without a mistake first, under its own name."""
    release = release_fleet()
    answers: dict[str, list[str]] = {}
    with Analyzer() as analyzer:
        for role in ("aws", "azure", "gcp", "dns"):
            answers[role] = preview(release, role, analyzer)
            answers[f"loaded with {role}"] = sorted(sdk for sdk in SDKS if sdk in sys.modules)
        for name, mistake in PROGRAM.items():
            with made(mistake):
                answers[name] = preview(release, mistake.role, analyzer)
    answers["table"] = [table()]
    sys.stdout.write(json.dumps(answers))


if __name__ == "__main__":
    if "--table" in sys.argv:
        sys.stdout.write(table())
    else:
        main()
