"""The real Pulumi engine on the stack `local`: its CLI, a backend of files, stand-ins for providers. I/O.

Everything is in one folder: backend, plugins' world, Pulumi's own home. The program is the unmodified
one, run by the SDK's automation interface, which needs the `pulumi` binary alone.
"""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pulumi import automation

from infra.fleet import LOCAL
from infra.localmock.plugins.__main__ import FOLDER
from infra.localmock.plugins.world import World
from infra.planning import PROJECT, ROOT
from infra.stacks import StackSettings
from runtime.errors import UnreachableError, UsageError

BIN = Path(__file__).parent / "plugins" / "bin"
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one operation of the engine did."""

    changes: Mapping[str, int]  # by operation: create, update, replace, delete, same
    outputs: Mapping[str, Any]  # secrets in the clear: of the stack `local` only
    events: tuple[tuple[str, str, str], ...]  # (operation, type, name), in the engine's order


class LocalStack:
    """The stack `local` of the real engine."""

    def __init__(
        self, folder: Path, *, pulumi: Path | None, say: Say, program: Callable[[], None] | None = None
    ) -> None:
        """Take a folder of one's own; `pulumi` is the binary, else what PATH has. Raises: UsageError."""
        self.folder, self._say = folder.resolve(), say
        self._program = program or _fleet
        found = pulumi or shutil.which("pulumi")
        if found is None:
            raise UsageError(
                "there is no `pulumi` on PATH", hint="make pulumi-cli builds one from source, in this folder"
            )
        self._pulumi = Path(found).resolve()
        for part in ("backend", "home", "work", "world", "bin"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        link = self.folder / "bin" / "pulumi"
        link.unlink(missing_ok=True)
        link.symlink_to(self._pulumi)  # the automation interface starts what PATH has first
        self.world = World(self.folder / "world")

    def up(self, settings: StackSettings) -> Outcome:
        """Make what the program asks for. Raises: UnreachableError with the engine's own words."""
        events: list[tuple[str, str, str]] = []
        stack = self._stack(settings)
        result = self._run(lambda: stack.up(on_event=_into(events), on_output=self._say, color="never"))
        outputs = {name: output.value for name, output in result.outputs.items()}
        return Outcome(changes=result.summary.resource_changes or {}, outputs=outputs, events=tuple(events))

    def preview(self, settings: StackSettings) -> Outcome:
        """Tell what `up` would do. Raises: UnreachableError."""
        events: list[tuple[str, str, str]] = []
        stack = self._stack(settings)
        result = self._run(lambda: stack.preview(on_event=_into(events), color="never"))
        counts = {str(getattr(key, "value", key)): count for key, count in result.change_summary.items()}
        return Outcome(changes=counts, outputs={}, events=tuple(events))

    def refresh(self, settings: StackSettings) -> Outcome:
        """Take over what the simulated clouds have now. Raises: UnreachableError."""
        events: list[tuple[str, str, str]] = []
        stack = self._stack(settings)
        result = self._run(lambda: stack.refresh(on_event=_into(events), color="never"))
        return Outcome(changes=result.summary.resource_changes or {}, outputs={}, events=tuple(events))

    def destroy(self, settings: StackSettings) -> Outcome:
        """Remove everything. Raises: UnreachableError."""
        events: list[tuple[str, str, str]] = []
        stack = self._stack(settings)
        result = self._run(lambda: stack.destroy(on_event=_into(events), color="never"))
        return Outcome(changes=result.summary.resource_changes or {}, outputs={}, events=tuple(events))

    def recover(self, settings: StackSettings) -> None:
        """Take up the state that a killed engine left: its lock, and what it was making when it died.

        What was being made and is there is imported under its URN, the rest of it is forgotten. The engine
        may die before it has noted what it was about to make: such a thing the state does not know, and it
        is removed.
        With a real cloud a person does the same, and finds the unknown by the fleet's tags (docs/clouds.md).
        Raises: UnreachableError.
        """
        stack = self._stack(settings)
        self._run(stack.cancel)
        deployment = self.state(settings)
        known = {str(resource.get("id", "")) for resource in deployment.get("resources") or ()}
        creating = {
            operation["resource"]["urn"]
            for operation in deployment.get("pending_operations") or ()
            if operation["type"] == "creating"
        }
        found = [thing for thing in self.world.things() if thing.urn in creating and thing.id not in known]
        command = [str(self._pulumi), "refresh", "--yes", "--skip-preview", "--non-interactive"]
        command += ["--stack", settings.stack, "--color", "never"]
        for thing in found:
            command += ["--import-pending-creates", thing.urn, "--import-pending-creates", thing.id]
        if creating - {thing.urn for thing in found}:
            command.append("--clear-pending-creates")
        environment = {**os.environ, **self.environment(), "PULUMI_HOME": str(self.folder / "home")}
        done = subprocess.run(  # noqa: S603 - our own binary
            command, cwd=self.folder / "work", env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise UnreachableError(f"pulumi refresh: {done.stderr.strip() or done.stdout.strip()}")
        known = {str(resource.get("id", "")) for resource in self.state(settings).get("resources") or ()}
        for thing in self.world.things():
            if thing.id not in known:
                self._say(f"removing {thing.id} ({thing.type}), which the state does not know")
                self.world.delete(thing.id)

    def state(self, settings: StackSettings) -> Mapping[str, Any]:
        """Return the engine's own record: resources and pending operations."""
        deployment: Mapping[str, Any] = self._stack(settings).export_stack().deployment or {}
        return deployment

    def _stack(self, settings: StackSettings) -> automation.Stack:
        (self.folder / "world" / "fleet.json").write_text(json.dumps(settings.fleet))
        stack = automation.create_or_select_stack(
            stack_name=settings.stack,
            project_name=PROJECT,
            program=self._program,
            opts=automation.LocalWorkspaceOptions(
                work_dir=str(self.folder / "work"),
                pulumi_home=str(self.folder / "home"),
                pulumi_command=automation.PulumiCommand(root=str(self.folder), skip_version_check=True),
                env_vars=self.environment(),
                project_settings=automation.ProjectSettings(name=PROJECT, runtime="python"),
            ),
        )
        values = settings.config(settings.role)
        stack.set_all_config({key: automation.ConfigValue(value) for key, value in values.items()})
        return stack

    def environment(self) -> dict[str, str]:
        """Return what the engine and its plugins are started with."""
        return {
            "PATH": os.pathsep.join([str(self.folder / "bin"), str(BIN), os.environ.get("PATH", "")]),
            # Without files of metadata beside the checkpoints: unlike these they are not replaced at once,
            # and an engine that is killed while it writes one leaves a state that it cannot read ("EOF").
            "PULUMI_BACKEND_URL": f"file://{self.folder / 'backend'}?metadata=skip",
            "PULUMI_CONFIG_PASSPHRASE": LOCAL,  # the local stack has no secret to keep
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_AUTOMATION_API_SKIP_VERSION_CHECK": "true",
            "TUNNEL_LOCAL_PYTHON": sys.executable,
            "PYTHONPATH": str(ROOT),
            FOLDER: str(self.folder / "world"),
        }

    def _run(self, operation: Callable[[], Any]) -> Any:
        try:
            return operation()
        except automation.CommandError as error:
            raise UnreachableError(f"pulumi: {str(error).strip()}") from error


def _into(events: list[tuple[str, str, str]]) -> Callable[[Any], None]:
    def note(event: Any) -> None:
        done = event.res_outputs_event
        if done is not None:
            step = done.metadata
            events.append((str(getattr(step.op, "value", step.op)), step.type, step.urn.split("::", 3)[3]))

    return note


def _fleet() -> None:
    # As Pulumi's executor does with `main: infra/`.
    runpy.run_path(str(ROOT / "infra"), run_name="__main__")
