"""Guardrails of images and of the buckets that they come from. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from infra.guardrails.machines import AZURE, MACHINES, tags
from infra.guardrails.rule import Resource, ResourceRule, StackRule, Violation, forbids, wants

AMI = "aws:ec2/ami:Ami"
DEFINITION = "azure-native:compute:GalleryImage"
VERSION = "azure-native:compute:GalleryImageVersion"
IMAGE = "gcp:compute/image:Image"
IMAGES = (AMI, VERSION, IMAGE)
BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
ACCOUNT = "azure-native:storage:StorageAccount"
BUCKET = "gcp:storage/bucket:Bucket"

_BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
_FEATURES = ("UEFI_COMPATIBLE", "GVNIC", "TDX_CAPABLE", "SEV_SNP_CAPABLE")
_PRIVATE = "an image is published by its manifest, not by its bucket"


def _ami(image: Resource) -> Iterator[Violation]:
    yield from wants(image, "bootMode", "uefi", "the image is a UKI; SEV-SNP wants UEFI")
    yield from wants(image, "tpmSupport", "v2.0", "without NitroTPM nothing is measured")
    yield from wants(image, "imdsSupport", "v2.0", "IMDSv1 answers forged requests")
    yield from wants(image, "architecture", "x86_64", "the image is built for it")
    yield from wants(image, "enaSupport", True, "every SEV-SNP type has that network card only")
    yield from forbids(image, "uefiData", "the keys of Secure Boot are off in this release")


def _definition(image: Resource) -> Iterator[Violation]:
    yield from wants(image, "hyperVGeneration", "V2", "UEFI machines are of generation 2")
    yield from wants(image, "architecture", "x64", "the image is built for it")
    features = {
        feature.get("name"): feature.get("value")
        for feature in image.at("features") or ()
        if feature is not None
    }
    if features.get("SecurityType") != "ConfidentialVMSupported":
        yield Violation(
            property="features.SecurityType",
            value=features.get("SecurityType"),
            remedy="'ConfidentialVMSupported': no confidential machine boots the image otherwise",
        )


def _version(image: Resource) -> Iterator[Violation]:
    why = "a member names its image; nobody boots the newest"
    yield from wants(image, "publishingProfile.excludeFromLatest", True, why)


def _features(image: Resource) -> Iterator[Violation]:
    found = {str(feature.get("type")) for feature in image.at("guestOsFeatures") or ()}
    for feature in _FEATURES:
        if feature not in found:
            yield Violation(
                property="guestOsFeatures",
                value=sorted(found),
                remedy=f"{feature} too: the API refuses a confidential machine without it",
            )


def _private(bucket: Resource) -> Iterator[Violation]:
    match bucket.type:
        case "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock":
            for name in _BLOCKS:
                yield from wants(bucket, name, True, _PRIVATE)
        case "azure-native:storage:StorageAccount":
            yield from wants(bucket, "allowBlobPublicAccess", False, _PRIVATE)
            yield from wants(bucket, "enableHttpsTrafficOnly", True, _PRIVATE)
            yield from wants(bucket, "minimumTlsVersion", "TLS1_2", "older ones are broken")
        case _:
            yield from wants(bucket, "publicAccessPrevention", "enforced", _PRIVATE)
            yield from wants(bucket, "uniformBucketLevelAccess", True, _PRIVATE)


def _not_latest(machine: Resource) -> Iterator[Violation]:
    for path in ("publisher", "communityGalleryImageId", "sharedGalleryImageId"):
        yield from forbids(machine, f"storageProfile.imageReference.{path}", "the fleet's own gallery image")


def _pinned(resources: Sequence[Resource]) -> Iterator[tuple[Resource, Violation]]:
    """Every machine boots an image of this very program, told by the manifest's digest."""
    published = {
        (image.type.partition(":")[0], tags(image).get("tunnel-image"))
        for image in resources
        if image.type in IMAGES
    }
    for machine in resources:
        if machine.type in MACHINES:
            digest = tags(machine).get("tunnel-image")
            if (machine.type.partition(":")[0], digest) not in published:
                known = sorted({str(name) for _, name in published})
                remedy = f"the manifest of an image that this stack publishes: {', '.join(known) or 'none'}"
                path = "labels" if machine.type.startswith("gcp:") else "tags"
                yield machine, Violation(property=f"{path}.tunnel-image", value=digest, remedy=remedy)


RULES = (
    ResourceRule(name="ami-measures", description="UEFI, NitroTPM, IMDSv2", types=(AMI,), check=_ami),
    ResourceRule(
        name="gallery-confidential",
        description="the gallery image may boot a confidential machine",
        types=(DEFINITION,),
        check=_definition,
    ),
    ResourceRule(name="no-latest", description="images are named", types=(VERSION,), check=_version),
    ResourceRule(
        name="own-gallery", description="machines boot the fleet's image", types=(AZURE,), check=_not_latest
    ),
    ResourceRule(name="guest-features", description="the guest's features", types=(IMAGE,), check=_features),
    ResourceRule(
        name="private-buckets",
        description="nobody reads the bucket",
        types=(BLOCK, ACCOUNT, BUCKET),
        check=_private,
    ),
)
STACK_RULES = (
    StackRule(name="image-pinned", description="machines boot what the stack publishes", check=_pinned),
)
