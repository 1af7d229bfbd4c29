"""What a cloud has to do for the fleet, and what it answers: the one Protocol of `infra`.

Pulumi's types and nothing of any cloud.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol

import pulumi

from infra.fleet import ImageSpec, MachineSpec
from infra.records import Family

# Snapshot imports and gallery replication take tens of minutes; the providers' own limits end before.
SLOW = pulumi.CustomTimeouts(create="120m", update="120m", delete="60m")
MACHINE = pulumi.CustomTimeouts(create="30m", update="30m", delete="30m")


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchedMachine:
    """A machine that its cloud runs, or will after `up`."""

    name: str
    instance: pulumi.Output[str]  # as the cloud's own evidence names it
    ipv4: pulumi.Output[str] | None  # static public addresses; None: it has none, nobody dials it
    ipv6: pulumi.Output[str] | None

    def address(self, family: Family) -> pulumi.Output[str]:
        """Return the address of a record's family, which the plan promised, once the machine is there.

        A record that were made as soon as the address is known would send visitors to nobody, and one that
        outlived its machine too: what depends on this is made after the machine and removed before it.
        """
        found = self.ipv4 if family == "A" else self.ipv6
        if found is None:
            message = f"{self.name} has no address for {family} records"
            raise LookupError(message)
        return after(found, self.instance)


def after(value: pulumi.Output[str], other: pulumi.Output[str]) -> pulumi.Output[str]:
    """Return the value, known only when the other is: whoever takes it waits for both."""
    return pulumi.Output.all(value, other).apply(lambda both: str(both[0]))


class Cloud(Protocol):
    """One cloud, with the fleet's networks and images in place."""

    def launch(self, spec: MachineSpec, user_data: bytes) -> LaunchedMachine:
        """Register the machine and all that is its own; it boots with exactly `user_data`."""
        ...


def machine_options(spec: MachineSpec, options: pulumi.ResourceOptions) -> pulumi.ResourceOptions:
    """Return the options of a machine's component; its children take them over.

    A machine that drains is about to go, so nothing protects it any more. Its former name is an alias:
    a renamed member keeps its address, and its machine is another one, since the name is measured.
    """
    return pulumi.ResourceOptions.merge(
        options,
        pulumi.ResourceOptions(
            protect=False if spec.state == "draining" else options.protect,
            aliases=[pulumi.Alias(name=spec.renamed_from)] if spec.renamed_from else None,
        ),
    )


def image_source(spec: ImageSpec) -> pulumi.Asset:
    """Return the baked file, or for a simulated image a line that says so."""
    if not spec.path:
        return pulumi.StringAsset(f"simulated image {spec.version}\n")
    return pulumi.FileAsset(image_file(spec))


def image_file(spec: ImageSpec) -> str:
    """Return the path of the baked file: Pulumi runs the program inside infra/, the path is the project's."""
    return str(PurePosixPath("..") / spec.path)


def image_key(spec: ImageSpec) -> str:
    """Return an image's name in a bucket: its version and its content."""
    return f"{spec.version}-{spec.sha256[:12]}"
