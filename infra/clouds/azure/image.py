"""The baked image in an Azure compute gallery: page blob, definition, version. Resources only.

A gallery takes page blobs only, and the provider's Blob resource uploads none: `az` does, as a command.
"""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
from pulumi_azure_native import compute, resources, storage
from pulumi_command import local

from infra.fleet import ImageSpec
from infra.machine import SLOW, image_file, image_key, image_source

# What the gallery calls an image that a confidential VM may boot, with no guest state of its own.
CONFIDENTIAL = "ConfidentialVMSupported"
_PUBLISHER = "confidential-tunnels"
_BLOB = '--auth-mode login --account-name "$ACCOUNT" --container-name "$CONTAINER" --name "$NAME"'
# The digest first: what is uploaded is what the manifest names.
_UPLOAD = (
    'echo "$SHA256  $FILE" | sha256sum --check --quiet && '
    f'az storage blob upload --type page --overwrite true --no-progress {_BLOB} --file "$FILE"'
)
_DELETE = f"az storage blob delete {_BLOB}"


class AzureImages(pulumi.ComponentResource):
    """The images of a fleet on Azure; `image` answers which one a machine boots."""

    def __init__(self, images: Sequence[ImageSpec], options: pulumi.ResourceOptions) -> None:
        super().__init__("tunnel:azure:Images", "azure-images", None, options)
        self._child = pulumi.ResourceOptions(parent=self)
        self._slow = pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(custom_timeouts=SLOW))
        self._home = min(region for image in images for region in image.regions)
        self._tags = {name: value for name, value in images[0].tags.items() if name != "tunnel-image"}
        self._group = resources.ResourceGroup(
            "azure-images-group", location=self._home, tags=self._tags, opts=self._child
        )
        self._account = self._storage()
        self._container = storage.BlobContainer(
            "azure-images-files",
            resource_group_name=self._group.name,
            account_name=self._account.name,
            public_access=storage.PublicAccess.NONE,
            opts=self._child,
        )
        self._gallery = compute.Gallery(
            # Azure takes no hyphen in a gallery's name, and Pulumi makes it from this one.
            "tunnelgallery",
            resource_group_name=self._group.name,
            location=self._home,
            tags=self._tags,
            opts=self._child,
        )
        self._definition = self._define()
        self._versions = {image.name: self._publish(image) for image in images}
        self.register_outputs({})

    def image(self, name: str) -> pulumi.Output[str]:
        """Return the id of an image's version."""
        found: pulumi.Output[str] = self._versions[name].id
        return found

    def _storage(self) -> storage.StorageAccount:
        return storage.StorageAccount(
            "tunnelimages",  # 3 to 24 letters and digits, with the eight that Pulumi appends
            resource_group_name=self._group.name,
            location=self._home,
            kind=storage.Kind.STORAGE_V2,
            sku=storage.SkuArgs(name=storage.SkuName.STANDARD_LRS),
            allow_blob_public_access=False,
            enable_https_traffic_only=True,
            minimum_tls_version=storage.MinimumTlsVersion.TLS1_2,
            tags=self._tags,
            opts=self._child,
        )

    def _define(self) -> compute.GalleryImage:
        return compute.GalleryImage(
            "azure-image-definition",
            resource_group_name=self._group.name,
            gallery_name=self._gallery.name,
            location=self._home,
            identifier=compute.GalleryImageIdentifierArgs(
                publisher=_PUBLISHER, offer="tunnel", sku="confidential"
            ),
            os_type=compute.OperatingSystemTypes.LINUX,
            os_state=compute.OperatingSystemStateTypes.SPECIALIZED,
            hyper_v_generation=compute.HyperVGeneration.V2,
            architecture=compute.Architecture.X64,
            features=[compute.GalleryImageFeatureArgs(name="SecurityType", value=CONFIDENTIAL)],
            tags=self._tags,
            opts=self._child,
        )

    def _publish(self, image: ImageSpec) -> compute.GalleryImageVersion:
        return compute.GalleryImageVersion(
            f"{image.name}-version",
            resource_group_name=self._group.name,
            gallery_name=self._gallery.name,
            gallery_image_name=self._definition.name,
            # Three numbers are all that Azure takes; the digest makes them another image's own.
            gallery_image_version_name=version_numbers(image.manifest_sha256),
            location=self._home,
            storage_profile=compute.GalleryImageVersionStorageProfileArgs(
                os_disk_image=compute.GalleryOSDiskImageArgs(
                    source=compute.GalleryDiskImageSourceArgs(
                        uri=self._uploaded(image), storage_account_id=self._account.id
                    )
                )
            ),
            publishing_profile=compute.GalleryImageVersionPublishingProfileArgs(
                target_regions=[
                    compute.TargetRegionArgs(name=region, regional_replica_count=1)
                    for region in sorted({self._home, *image.regions})
                ],
                # Members name their version; nobody boots "latest".
                exclude_from_latest=True,
            ),
            tags=image.tags,
            opts=self._slow,
        )

    def _uploaded(self, image: ImageSpec) -> pulumi.Output[str]:
        """Return the URL of the image's page blob."""
        name = f"{image_key(image)}.vhd"
        if not image.path:
            stand_in = storage.Blob(
                f"{image.name}-file",
                resource_group_name=self._group.name,
                account_name=self._account.name,
                container_name=self._container.name,
                blob_name=name,
                source=image_source(image),
                opts=self._slow,
            )
            found: pulumi.Output[str] = stand_in.url
            return found
        command = local.Command(
            f"{image.name}-file",
            create=_UPLOAD,
            delete=_DELETE,
            environment={
                "ACCOUNT": self._account.name,
                "CONTAINER": self._container.name,
                "NAME": name,
                "FILE": image_file(image),
                "SHA256": image.sha256,
            },
            triggers=[image.sha256],
            opts=self._slow,
        )
        endpoint = self._account.primary_endpoints.apply(lambda found: found.blob)

        def url(parts: list[str]) -> str:
            return f"{parts[0]}{parts[1]}/{name}"

        # With the command's own id, so that nobody reads the blob before it is there.
        return pulumi.Output.all(endpoint, self._container.name, command.id).apply(url)


def version_numbers(manifest_sha256: str) -> str:
    """Return a gallery version of a manifest: three numbers, 90 bits of its digest."""
    bits = int(manifest_sha256[:24], 16)
    return ".".join(str(bits >> shift & 0x3FFFFFFF) for shift in (60, 30, 0))
