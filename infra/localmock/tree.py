"""One run as a person or a machine reads it: the same text for the same resources. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from infra.localmock.analyzer import Verdicts
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


def guardrails(verdicts: Verdicts) -> str:
    """Return what the guardrails say, one line each."""
    told = (("violated", verdicts.violations), ("advice", verdicts.advice), ("after up", verdicts.undecided))
    lines = [f"{_INDENT}{word}: {problem}" for word, found in told for problem in found]
    word = f"{len(verdicts.violations)} violated" if verdicts.violations else "green"
    return "\n".join([f"guardrails {word}", *lines])


def document(result: RunResult, verdicts: Verdicts | None = None) -> dict[str, Any]:
    """Return the run, and what the guardrails say of it, as one JSON object."""
    said = {} if verdicts is None else {"guardrails": _verdicts(verdicts)}
    return {
        **said,
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


def _verdicts(verdicts: Verdicts) -> dict[str, list[dict[str, str]]]:
    return {
        kind: [{"path": problem.path, "message": problem.message} for problem in found]
        for kind, found in (
            ("violations", verdicts.violations),
            ("advice", verdicts.advice),
            ("undecided", verdicts.undecided),
        )
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
