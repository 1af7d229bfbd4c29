"""One `up` of the program, and what a fleet takes from it: members, settings, names, document. I/O."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from infra import planning
from infra.capabilities import CloudName
from runtime.documents import strict_json
from tests.localfleet.configurations import Configuration
from tests.localfleet.program import Program

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Up:
    """What one `up` put out."""

    configuration: Configuration
    folder: Path  # outputs.json and settings/
    tree: str

    @cached_property
    def outputs(self) -> dict[str, Any]:
        """The stack's outputs."""
        return dict(json.loads((self.folder / "outputs.json").read_bytes()))

    @property
    def records(self) -> list[dict[str, Any]]:
        """The zone's records."""
        return list(self.outputs["records"])

    @property
    def draft(self) -> dict[str, Any]:
        """The unsigned fleet document."""
        return dict(self.outputs["fleetDocument"])

    @property
    def servers(self) -> dict[str, str]:
        """Every server's address, by its name, in the plan's order."""
        return {end["member"]: end["ipv4"] for end in self.outputs["endpoints"] if end["role"] == "server"}

    @property
    def clients(self) -> tuple[str, ...]:
        """Every client's name."""
        return tuple(end["member"] for end in self.outputs["endpoints"] if end["role"] == "client")

    @property
    def members(self) -> tuple[str, ...]:
        """Every member's name, servers first."""
        return (*self.servers, *self.clients)

    @property
    def clouds(self) -> dict[str, CloudName]:
        """Every member's cloud."""
        return {end["member"]: end["cloud"] for end in self.outputs["endpoints"]}

    @cached_property
    def images(self) -> dict[str, str]:
        """The digest of the manifest that every member boots, by its name."""
        plan = planning.load(self.configuration, "local")
        return {spec.name: plan.manifests[spec.generation].digest.hex() for spec in plan.machines}

    def settings(self, name: str) -> Path:
        """The bytes that a member boots with."""
        return self.folder / "settings" / f"{name}.json"

    def admin(self, name: str) -> str:
        """ADDRESS:PORT of a member's admin listener, as its settings say."""
        return str(json.loads(self.settings(name).read_bytes())["admin"])


def engine() -> str | None:
    """Return the real engine's CLI where there is one."""
    return os.environ.get("PULUMI_BINARY") or shutil.which("pulumi")


async def run(program: Program, folder: Path, number: int, configuration: Configuration, say: Say) -> Up:
    """Carry out the `number`th `up` of a fleet; the real engine does it where its CLI is."""
    config, out = folder / f"fleet-config-{number}.json", folder / f"up-{number}"
    config.write_bytes(strict_json.canonical(configuration))
    pulumi = engine()
    if pulumi is None:
        say("preview and simulated up of three clouds and dns: tunnel-fleet simulate")
        tree = await program.command(
            "simulate", "--stack", "local", "--config", str(config), "--out", str(out)
        )
        return Up(configuration=configuration, folder=out, tree=tree)
    say("preview of three clouds and dns: tunnel-fleet preview")
    tree = await program.command("preview", "--stack", "local", "--config", str(config))
    say(f"up by the real Pulumi engine ({pulumi}), with stand-ins for the clouds: tunnel-fleet local up")
    done = await program.command(
        "local", "up", "--config", str(config), "--pulumi", pulumi,
        "--folder", str(folder / "engine"), "--out", str(out),
    )  # fmt: skip
    return Up(configuration=configuration, folder=out, tree=f"{tree}\n\nthe real engine's {done}")
