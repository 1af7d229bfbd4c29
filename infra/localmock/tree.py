"""One run as a person or a machine reads it: the same text for the same resources. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from infra.localmock.engine import Registered, RunResult
from infra.localmock.wire import shown

_LONGEST = 100  # characters of one value in the tree; `--json` has them whole
_INDENT = "  "


def text(result: RunResult) -> str:
    """Return the tree of resources with their inputs, then the outputs."""
    children: dict[str, list[Registered]] = {}
    for resource in result.resources:
        children.setdefault(resource.parent, []).append(resource)
    lines = list(_branch(children, "", 0))
    lines.append("outputs")
    lines += [f"{_INDENT}{name}: {_short(value)}" for name, value in sorted(result.outputs.items())]
    custom = sum(resource.custom for resource in result.resources)
    lines.append(f"{custom} resources in {len(result.resources) - custom - 1} components")
    return "\n".join(lines)


def document(result: RunResult) -> dict[str, Any]:
    """Return the run as one JSON object."""
    return {
        "stack": result.stack,
        "resources": [
            {
                "urn": resource.urn,
                "type": resource.type,
                "name": resource.name,
                "parent": resource.parent,
                "custom": resource.custom,
                "protect": resource.protect,
                "inputs": shown(dict(resource.inputs)) if resource.custom else {},
            }
            for resource in result.resources
        ],
        "outputs": shown(dict(result.outputs)),
        "problems": [{"path": problem.path, "message": problem.message} for problem in result.problems],
    }


def _branch(children: Mapping[str, list[Registered]], parent: str, depth: int) -> Iterator[str]:
    for resource in children.get(parent, []):
        guarded = " [protect]" if resource.protect and resource.custom else ""
        yield f"{_INDENT * depth}+ {resource.type} {resource.name}{guarded}"
        if resource.custom:
            for name, value in sorted(resource.inputs.items()):
                if not name.startswith("__"):
                    yield f"{_INDENT * (depth + 2)}{name}: {_short(value)}"
        yield from _branch(children, resource.urn, depth + 1)


def _short(value: object) -> str:
    return _spell(shown(value))


def _spell(value: object) -> str:
    if isinstance(value, dict):
        members = cast("dict[str, object]", value)
        return "{" + ", ".join(f"{name}: {_spell(member)}" for name, member in members.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_spell(member) for member in cast("list[object]", value)) + "]"
    if isinstance(value, str):
        spelled = value if value.isprintable() else json.dumps(value, ensure_ascii=False)
        return spelled if len(spelled) <= _LONGEST else f"{spelled[:_LONGEST]}... ({len(value)} characters)"
    return json.dumps(value)
