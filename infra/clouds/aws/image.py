"""The baked image as an AMI in every region in use: bucket object, snapshot import, AMI. Resources only."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pulumi
import pulumi_aws as aws

from infra.fleet import ImageSpec
from infra.machine import SLOW, image_key, image_source

_ROOT_DEVICE = "/dev/xvda"
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "vmie.amazonaws.com"},
            "Action": "sts:AssumeRole",
            # EC2's import service presents this word; anybody else's request is not ours.
            "Condition": {"StringEquals": {"sts:ExternalId": "vmimport"}},
        }
    ],
}


class AwsImages(pulumi.ComponentResource):
    """The images of a fleet on EC2; `ami` answers which one a machine boots."""

    def __init__(self, images: Sequence[ImageSpec], options: pulumi.ResourceOptions) -> None:
        super().__init__("tunnel:aws:Images", "aws-images", None, options)
        self._child = pulumi.ResourceOptions(parent=self)
        regions = sorted({region for image in images for region in image.regions})
        tags = images[0].tags if images else {}
        common = {name: value for name, value in tags.items() if name != "tunnel-image"}
        self._buckets = {region: self._bucket(region, common) for region in regions}
        self._role = aws.iam.Role(
            "aws-image-import",
            assume_role_policy=json.dumps(_TRUST),
            description="EC2 reads baked images while it imports them",
            tags=common,
            opts=self._child,
        )
        self._right = aws.iam.RolePolicy(
            "aws-image-import-right", role=self._role.id, policy=self._policy(), opts=self._child
        )
        self._amis = {
            (image.name, region): self._ami(image, region) for image in images for region in image.regions
        }
        self.register_outputs({})

    def ami(self, image: str, region: str) -> pulumi.Output[str]:
        """Return the id of an image in a region."""
        found: pulumi.Output[str] = self._amis[image, region].id
        return found

    def _bucket(self, region: str, tags: Mapping[str, str]) -> aws.s3.Bucket:
        bucket = aws.s3.Bucket(f"{region}-images", region=region, tags=tags, opts=self._child)
        aws.s3.BucketPublicAccessBlock(
            f"{region}-images-private",
            region=region,
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=self._child,
        )
        return bucket

    def _policy(self) -> pulumi.Output[str]:
        def write(arns: Sequence[str]) -> str:
            reading = {
                "Effect": "Allow",
                "Action": ["s3:GetBucketLocation", "s3:GetObject", "s3:ListBucket"],
                "Resource": [item for arn in sorted(arns) for item in (arn, f"{arn}/*")],
            }
            # Snapshots have no name before they are made: the service's own policy says * here too.
            making = {
                "Effect": "Allow",
                "Action": ["ec2:CopySnapshot", "ec2:Describe*", "ec2:ModifySnapshotAttribute"],
                "Resource": "*",
            }
            return json.dumps({"Version": "2012-10-17", "Statement": [reading, making]})

        return pulumi.Output.all(*[bucket.arn for bucket in self._buckets.values()]).apply(write)

    def _ami(self, image: ImageSpec, region: str) -> aws.ec2.Ami:
        name = f"{image.name}-{region}"
        stored = aws.s3.BucketObjectv2(
            f"{name}-file",
            region=region,
            bucket=self._buckets[region].id,
            key=f"{image_key(image)}.raw",
            source=image_source(image),
            source_hash=image.sha256,
            tags=image.tags,
            opts=pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(custom_timeouts=SLOW)),
        )
        snapshot = aws.ebs.SnapshotImport(
            f"{name}-snapshot",
            region=region,
            role_name=self._role.name,
            description=f"tunnel image {image.version}",
            disk_container=aws.ebs.SnapshotImportDiskContainerArgs(
                format="RAW",
                user_bucket=aws.ebs.SnapshotImportDiskContainerUserBucketArgs(
                    s3_bucket=stored.bucket, s3_key=stored.key
                ),
            ),
            tags=image.tags,
            opts=pulumi.ResourceOptions.merge(
                self._child,
                # The role may read before the import begins, or the import fails after minutes.
                pulumi.ResourceOptions(custom_timeouts=SLOW, depends_on=[self._right]),
            ),
        )
        return aws.ec2.Ami(
            f"{name}-ami",
            region=region,
            description=f"tunnel image {image.version}",
            architecture="x86_64",
            virtualization_type="hvm",
            boot_mode="uefi",
            tpm_support="v2.0",
            imds_support="v2.0",
            ena_support=True,
            root_device_name=_ROOT_DEVICE,
            ebs_block_devices=[
                aws.ec2.AmiEbsBlockDeviceArgs(
                    device_name=_ROOT_DEVICE,
                    snapshot_id=snapshot.id,
                    volume_type="gp3",
                    delete_on_termination=True,
                )
            ],
            tags=image.tags,
            opts=pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(custom_timeouts=SLOW)),
        )
