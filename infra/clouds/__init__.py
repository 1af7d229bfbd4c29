"""The clouds by name. A stack imports the SDK of the clouds it uses and no other: each costs seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import pulumi

from infra.capabilities import CloudName
from infra.fleet import ImageSpec, NetworkSpec
from infra.machine import Cloud

Opener = Callable[[Sequence[NetworkSpec], Sequence[ImageSpec], pulumi.ResourceOptions], Cloud]


def _aws(
    networks: Sequence[NetworkSpec], images: Sequence[ImageSpec], options: pulumi.ResourceOptions
) -> Cloud:
    from infra.clouds.aws.machine import AwsCloud

    return AwsCloud(networks, images, options)


def _azure(
    networks: Sequence[NetworkSpec], images: Sequence[ImageSpec], options: pulumi.ResourceOptions
) -> Cloud:
    from infra.clouds.azure.machine import AzureCloud

    return AzureCloud(networks, images, options)


def _gcp(
    networks: Sequence[NetworkSpec], images: Sequence[ImageSpec], options: pulumi.ResourceOptions
) -> Cloud:
    from infra.clouds.gcp.machine import GcpCloud

    return GcpCloud(networks, images, options)


CLOUDS: Mapping[CloudName, Opener] = MappingProxyType({"aws": _aws, "azure": _azure, "gcp": _gcp})
