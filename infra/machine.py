"""What a cloud has to do for the fleet, and what it answers: the one Protocol of `infra`.

Pulumi's types and nothing of any cloud.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import pulumi

from infra.fleet import MachineSpec
from infra.records import Family


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchedMachine:
    """A machine that its cloud runs, or will after `up`."""

    name: str
    instance: pulumi.Output[str]  # as the cloud's own evidence names it
    ipv4: pulumi.Output[str] | None  # static public addresses; None: it has none, nobody dials it
    ipv6: pulumi.Output[str] | None

    def address(self, family: Family) -> pulumi.Output[str]:
        """Return the address of a record's family, which the plan promised."""
        found = self.ipv4 if family == "A" else self.ipv6
        if found is None:
            message = f"{self.name} has no address for {family} records"
            raise LookupError(message)
        return found


class Cloud(Protocol):
    """One cloud, with the fleet's networks in place."""

    def launch(self, spec: MachineSpec, user_data: bytes) -> LaunchedMachine:
        """Register the machine and all that is its own; it boots with exactly `user_data`."""
        ...
