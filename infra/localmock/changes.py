"""What changed between two previews: made, gone, updated, replaced. Pure.

The clouds' providers decide what can be updated in place; without them a table does, of the resources that
this program makes. A property that is not in it is taken as updated in place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

Operation = Literal["create", "delete", "update", "replace"]
_Entry = Mapping[str, Any]  # one resource of a preview
SIGNS: Mapping[Operation, str] = {"create": "+", "delete": "-", "update": "~", "replace": "+-"}

# Paths that end in a replacement, each with everything below it.
FORCE_NEW: Mapping[str, tuple[str, ...]] = {
    "aws:ec2/instance:Instance": (
        *("ami", "availabilityZone", "cpuOptions", "subnetId", "userDataBase64", "keyName", "region"),
        *("rootBlockDevice.encrypted", "ipv6AddressCount", "associatePublicIpAddress"),
    ),
    "aws:ec2/ami:Ami": (
        *("architecture", "bootMode", "tpmSupport", "imdsSupport", "virtualizationType", "rootDeviceName"),
        *("enaSupport", "uefiData", "ebsBlockDevices", "region"),
    ),
    "aws:ebs/snapshotImport:SnapshotImport": ("diskContainer", "roleName", "encrypted", "region"),
    "aws:ec2/vpc:Vpc": ("cidrBlock", "region"),
    "aws:ec2/subnet:Subnet": ("cidrBlock", "availabilityZone", "vpcId", "region"),
    "aws:ec2/securityGroup:SecurityGroup": ("description", "vpcId", "region"),
    "aws:ec2/natGateway:NatGateway": ("allocationId", "subnetId", "region"),
    "aws:ec2/eip:Eip": ("domain", "region"),
    "aws:ec2/eipAssociation:EipAssociation": ("allocationId", "instanceId", "region"),
    "aws:s3/bucketObjectv2:BucketObjectv2": ("bucket", "key", "region"),
    "aws:route53/zone:Zone": ("name",),
    "aws:route53/record:Record": ("name", "type", "zoneId", "setIdentifier"),
    "aws:route53/healthCheck:HealthCheck": ("type",),
    "azure-native:compute:VirtualMachine": (
        *("location", "zones", "userData", "securityProfile.securityType", "storageProfile.imageReference"),
        *("storageProfile.osDisk.managedDisk.securityProfile", "osProfile"),
    ),
    "azure-native:compute:GalleryImage": ("identifier", "osType", "osState", "features", "hyperVGeneration"),
    "azure-native:compute:GalleryImageVersion": ("galleryImageVersionName", "storageProfile"),
    "azure-native:network:PublicIPAddress": ("location", "zones", "sku", "publicIPAddressVersion"),
    "azure-native:network:VirtualNetwork": ("location",),
    "azure-native:resources:ResourceGroup": ("location",),
    "azure-native:storage:StorageAccount": ("location", "kind"),
    "azure-native:dns:Zone": ("zoneName",),
    "azure-native:dns:RecordSet": ("zoneName", "recordType", "relativeRecordSetName"),
    "gcp:compute/instance:Instance": (
        *("zone", "bootDisk", "confidentialInstanceConfig", "metadata", "networkInterfaces"),
        *("shieldedInstanceConfig.enableVtpm",),
    ),
    "gcp:compute/image:Image": ("rawDisk", "guestOsFeatures", "description"),
    "gcp:compute/network:Network": ("autoCreateSubnetworks",),
    "gcp:compute/subnetwork:Subnetwork": ("network", "region"),
    "gcp:compute/address:Address": ("region", "addressType", "ipVersion", "networkTier", "subnetwork"),
    "gcp:compute/firewall:Firewall": ("network", "direction"),
    "gcp:storage/bucket:Bucket": ("location",),
    "gcp:storage/bucketObject:BucketObject": ("bucket", "name", "source"),
    "gcp:dns/managedZone:ManagedZone": ("dnsName",),
    "gcp:dns/recordSet:RecordSet": ("managedZone", "name", "type"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What happens to one resource, and because of which properties."""

    operation: Operation
    type: str
    name: str
    urn: str
    properties: tuple[str, ...]  # dotted paths that differ
    forcing: tuple[str, ...]  # those that end in a replacement

    def __str__(self) -> str:
        why = f": {', '.join(self.forcing or self.properties)}" if self.properties else ""
        return f"{SIGNS[self.operation]} {self.type} {self.name}{why}"


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Change, ...]:
    """Return what differs between two previews as `tree.document` writes them, by URN."""
    old, new = _resources(before), _resources(after)
    return tuple(change for urn in sorted({*old, *new}) for change in _of(urn, old, new))


def _resources(preview: Mapping[str, Any]) -> dict[str, _Entry]:
    entries = cast("Sequence[_Entry]", preview.get("resources", ()))
    return {str(entry["urn"]): entry for entry in entries if entry["custom"]}


def _of(urn: str, old: Mapping[str, _Entry], new: Mapping[str, _Entry]) -> Iterator[Change]:
    if urn not in old:
        yield _change("create", new[urn])
    elif urn not in new:
        yield _change("delete", old[urn])
    else:
        before, after = old[urn], new[urn]
        paths = tuple(differences(before["inputs"], after["inputs"]))
        if before["protect"] != after["protect"]:
            paths = (*paths, "protect")
        forcing = tuple(path for path in paths if forces(str(after["type"]), path))
        if paths:
            yield _change("replace" if forcing else "update", after, paths, forcing)


def _change(
    operation: Operation, entry: _Entry, properties: tuple[str, ...] = (), forcing: tuple[str, ...] = ()
) -> Change:
    return Change(
        operation=operation,
        type=str(entry["type"]),
        name=str(entry["name"]),
        urn=str(entry["urn"]),
        properties=properties,
        forcing=forcing,
    )


def forces(kind: str, path: str) -> bool:
    """Tell whether a difference at that path ends in a replacement."""
    return any(
        path == start or path.startswith((f"{start}.", f"{start}[")) for start in FORCE_NEW.get(kind, ())
    )


def differences(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Yield the dotted paths at which two values differ; lists are compared place by place."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        old, new = cast("Mapping[str, Any]", before), cast("Mapping[str, Any]", after)
        for key in sorted({*old, *new}):
            yield from differences(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, pair in enumerate(zip(before, after, strict=True)):
            yield from differences(*pair, f"{path}[{index}]")
    elif before != after:
        yield path
