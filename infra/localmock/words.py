"""The words that a text of the SDK may be: where its type says nothing, its description often does. Pure.

What is listed here by hand wins; what is mined from a description is held for two words at least.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, cast

from pulumi import _types

# What the SDKs take as any text although the cloud takes few; read in each field's own description.
CURATED: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("InstanceCpuOptionsArgs", "amdSevSnp"): ("enabled", "disabled"),
    ("InstanceMetadataOptionsArgs", "httpEndpoint"): ("enabled", "disabled"),
    ("InstanceMetadataOptionsArgs", "httpTokens"): ("required", "optional"),
    ("InstanceMetadataOptionsArgs", "instanceMetadataTags"): ("enabled", "disabled"),
    ("InstanceRootBlockDeviceArgs", "volumeType"): ("standard", "gp2", "gp3", "io1", "io2", "sc1", "st1"),
    ("EipArgs", "domain"): ("vpc",),
    ("InstanceConfidentialInstanceConfigArgs", "confidentialInstanceType"): ("SEV", "SEV_SNP", "TDX"),
    ("InstanceSchedulingArgs", "onHostMaintenance"): ("MIGRATE", "TERMINATE"),
    ("InstanceNetworkInterfaceArgs", "nicType"): ("GVNIC", "VIRTIO_NET", "IDPF", "MRDMA", "IRDMA"),
    ("InstanceNetworkInterfaceArgs", "stackType"): ("IPV4_ONLY", "IPV4_IPV6", "IPV6_ONLY"),
    ("InstanceNetworkInterfaceAccessConfigArgs", "networkTier"): ("PREMIUM", "STANDARD", "FIXED_STANDARD"),
    ("SubnetworkArgs", "stackType"): ("IPV4_ONLY", "IPV4_IPV6", "IPV6_ONLY"),
    ("SubnetworkArgs", "ipv6AccessType"): ("EXTERNAL", "INTERNAL"),
    ("AddressArgs", "addressType"): ("EXTERNAL", "INTERNAL"),
    ("AddressArgs", "ipVersion"): ("IPV4", "IPV6"),
    ("AddressArgs", "networkTier"): ("PREMIUM", "STANDARD"),
    ("FirewallArgs", "direction"): ("INGRESS", "EGRESS"),
    ("RouterNatArgs", "natIpAllocateOption"): ("AUTO_ONLY", "MANUAL_ONLY"),
    ("RouterNatArgs", "sourceSubnetworkIpRangesToNat"): (
        "ALL_SUBNETWORKS_ALL_IP_RANGES",
        "ALL_SUBNETWORKS_ALL_PRIMARY_IP_RANGES",
        "LIST_OF_SUBNETWORKS",
    ),
    ("RecordSetArgs", "recordType"): (
        "A",
        "AAAA",
        "CAA",
        "CNAME",
        "DS",
        "MX",
        "NAPTR",
        "NS",
        "PTR",
        "SRV",
        "TLSA",
        "TXT",
    ),
    ("RecordSetArgs", "type"): ("A", "AAAA", "CAA", "CNAME", "DS", "MX", "NS", "PTR", "SRV", "TLSA", "TXT"),
    ("AmiArgs", "bootMode"): ("uefi", "uefi-preferred", "legacy-bios"),
    ("AmiArgs", "tpmSupport"): ("v2.0",),
    ("AmiArgs", "imdsSupport"): ("v2.0",),
    ("AmiArgs", "architecture"): ("x86_64", "arm64", "i386"),
    ("AmiArgs", "virtualizationType"): ("hvm", "paravirtual"),
    ("AmiEbsBlockDeviceArgs", "volumeType"): ("standard", "gp2", "gp3", "io1", "io2", "sc1", "st1"),
    # The SDK's text says VHD or VMDK; EC2's DiskImageFormat has three, and RAW is what is baked.
    ("SnapshotImportDiskContainerArgs", "format"): ("RAW", "VHD", "VMDK"),
    ("HealthCheckArgs", "type"): (
        "HTTP",
        "HTTPS",
        "HTTP_STR_MATCH",
        "HTTPS_STR_MATCH",
        "TCP",
        "CALCULATED",
        "CLOUDWATCH_METRIC",
        "RECOVERY_CONTROL",
    ),
    # The SDK has no list of these; Azure's own names, of which CONFIDENTIAL ones are ours.
    ("GalleryImageFeatureArgs", "value"): (
        "TrustedLaunch",
        "TrustedLaunchSupported",
        "ConfidentialVM",
        "ConfidentialVMSupported",
        "TrustedLaunchAndConfidentialVmSupported",
    ),
    ("ImageRawDiskArgs", "containerType"): ("TAR",),
    ("ImageGuestOsFeatureArgs", "type"): (
        "GVNIC",
        "IDPF",
        "MULTI_IP_SUBNET",
        "SECURE_BOOT",
        "SEV_CAPABLE",
        "SEV_LIVE_MIGRATABLE",
        "SEV_LIVE_MIGRATABLE_V2",
        "SEV_SNP_CAPABLE",
        "SNP_SVSM_CAPABLE",
        "SUSPEND_RESUME_COMPATIBLE",
        "TDX_CAPABLE",
        "UEFI_COMPATIBLE",
        "VIRTIO_SCSI_MULTIQUEUE",
        "WINDOWS",
    ),
    ("BucketArgs", "publicAccessPrevention"): ("inherited", "enforced"),
}

_PARAMETER = re.compile(r":param [^:]*?(\w+): (.*?)(?=\n\s*:param |\Z)", re.DOTALL)
_LIST = re.compile(
    r"(?:[Pp]ossible values (?:are|include)|[Vv]alid values(?: are)?|[Aa]llowed values are"
    r"|[Ss]upported values are|[Oo]ne of|[Mm]ust be one of|[Cc]an be (?:one of|either))"
    r"[: ]*((?:`[^`\s]+`(?:,? (?:and|or) |, ?)?){2,})"
)
_WORD = re.compile(r"`\"?([^`\"\s]+)\"?`")


def allowed_words(inputs: type, field: str) -> tuple[str, ...]:
    """Return the words that a field of this inputs class may be; empty: nobody says."""
    curated = CURATED.get((inputs.__name__, field))
    return curated if curated is not None else mined(inputs).get(field, ())


@cache
def mined(inputs: type) -> Mapping[str, tuple[str, ...]]:
    """Return what the descriptions of a class's fields list, by wire name."""
    names: Mapping[str, str] = cast("Any", _types.input_type_py_to_pulumi_names)(inputs)
    initialiser: Any = vars(inputs).get("__init__")
    description = str(getattr(initialiser, "__doc__", None) or "")
    found: dict[str, tuple[str, ...]] = {}
    for python_name, text in _PARAMETER.findall(description):
        listed = _LIST.search(text)
        if listed is not None and python_name in names:
            found[names[python_name]] = tuple(_WORD.findall(listed.group(1)))
    return found
