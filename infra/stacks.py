"""Read a stack's file (Pulumi.<stack>.yaml), and the file a person lays over its fleet. I/O."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from infra.planning import ROOT
from infra.stack_names import CONFIG, ROLES
from runtime.errors import UsageError

# PyYAML comes with Pulumi; it publishes no types of its own.
_yaml: Any = importlib.import_module("yaml")
_STACK_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
_LARGEST = 1 << 20  # bytes; a fleet of 1,024 members is under 600 KiB


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSettings:
    """One stack's configuration as Pulumi would hand it to the program."""

    stack: str
    role: str
    fleet: object
    protect: bool | None  # None: the program's own rule

    def config(self, role: str) -> dict[str, str]:
        """Return Pulumi's configuration for that role: structured values are JSON texts."""
        config = {f"{CONFIG}:role": role, f"{CONFIG}:fleet": json.dumps(self.fleet)}
        return config if self.protect is None else {**config, f"{CONFIG}:protect": json.dumps(self.protect)}


def read(stack: str, overlay: Path | None) -> StackSettings:
    """Return a stack's settings; `overlay` replaces parts of the fleet, objects key by key, all else whole.

    Raises: UsageError.
    """
    if not _STACK_NAME.fullmatch(stack):
        message = f"stack is {stack!r}, want lower-case letters, digits and hyphens"
        raise UsageError(message)
    path = ROOT / f"Pulumi.{stack}.yaml"
    values: Mapping[str, object] = {}
    if path.exists():
        values = _mapping(_load(path).get("config", {}), f"{path.name}: config")
    elif overlay is None:
        message = f"there is no {path.name} in {ROOT}"
        raise UsageError(message, hint="write it, or give the fleet with --config FILE")
    fleet = values.get(f"{CONFIG}:fleet", {})
    if overlay is not None:
        fleet = _merge(fleet, _load(overlay))
    role = values.get(f"{CONFIG}:role", stack.partition("-")[0])
    protect = values.get(f"{CONFIG}:protect")
    if role not in ROLES:
        message = f"tunnel:role is {role!r}, want one of {', '.join(ROLES)}"
        raise UsageError(message)
    if not (protect is None or isinstance(protect, bool)):
        message = f"tunnel:protect is {protect!r}, want true or false"
        raise UsageError(message)
    return StackSettings(stack=stack, role=str(role), fleet=fleet, protect=protect)


def _load(path: Path) -> Mapping[str, object]:
    try:
        data = path.read_bytes()
    except OSError as error:
        message = f"{path}: {error.strerror}"
        raise UsageError(message) from error
    if len(data) > _LARGEST:
        message = f"{path} is {len(data)} bytes, want at most {_LARGEST}"
        raise UsageError(message)
    try:
        value: object = _yaml.safe_load(data)  # JSON is YAML too
    except (_yaml.YAMLError, ValueError, RecursionError) as error:
        message = f"{path} is not YAML: {error}"
        raise UsageError(message) from error
    return _mapping(value, str(path))


def _mapping(value: object, what: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        message = f"{what} is no object"
        raise UsageError(message)
    return cast("Mapping[str, object]", value)


def _merge(below: object, above: object) -> object:
    if isinstance(below, dict) and isinstance(above, dict):
        old, new = cast("dict[str, object]", below), cast("dict[str, object]", above)
        return {**old, **{key: _merge(old.get(key), value) for key, value in new.items()}}
    return above
