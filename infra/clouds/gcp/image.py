"""The baked image on Google Cloud: bucket object, image with the guest's features. Resources only."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
from pulumi_gcp import compute, storage

from infra.fleet import ImageSpec
from infra.machine import SLOW, image_key, image_source

# What the guest's kernel can do; without the capability the API refuses the confidential type.
FEATURES = ("GVNIC", "SEV_SNP_CAPABLE", "TDX_CAPABLE", "UEFI_COMPATIBLE", "VIRTIO_SCSI_MULTIQUEUE")


class GcpImages(pulumi.ComponentResource):
    """The images of a fleet on Compute Engine; `image` answers which one a machine boots."""

    def __init__(self, images: Sequence[ImageSpec], options: pulumi.ResourceOptions) -> None:
        super().__init__("tunnel:gcp:Images", "gcp-images", None, options)
        self._child = pulumi.ResourceOptions(parent=self)
        self._slow = pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(custom_timeouts=SLOW))
        home = min(region for image in images for region in image.regions)
        common = {name: value for name, value in images[0].tags.items() if name != "tunnel-image"}
        self._bucket = storage.Bucket(
            "gcp-images-files",
            location=home.upper(),  # the API answers in capitals, and anything else is a difference
            uniform_bucket_level_access=True,
            public_access_prevention="enforced",
            labels=common,
            opts=self._child,
        )
        self._images = {image.name: self._image(image) for image in images}
        self.register_outputs({})

    def image(self, name: str) -> pulumi.Output[str]:
        """Return the link of an image."""
        found: pulumi.Output[str] = self._images[name].self_link
        return found

    def _image(self, image: ImageSpec) -> compute.Image:
        stored = storage.BucketObject(
            f"{image.name}-file",
            bucket=self._bucket.name,
            name=f"{image_key(image)}.tar.gz",
            source=image_source(image),
            opts=self._slow,
        )
        return compute.Image(
            f"{image.name}-image",
            description=f"tunnel image {image.version}",
            raw_disk=compute.ImageRawDiskArgs(
                source=pulumi.Output.concat(
                    "https://storage.googleapis.com/", self._bucket.name, "/", stored.output_name
                ),
                container_type="TAR",
            ),
            guest_os_features=[compute.ImageGuestOsFeatureArgs(type=feature) for feature in FEATURES],
            labels=image.tags,
            opts=self._slow,
        )
