"""What a guardrail is: a name, and a function from a resource to its violations. Pure.

In a preview some values are not known; touching one ends the rule for that resource, which Pulumi tells.
So a rule looks at what it judges and at nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LOCAL = "local"  # the stack of simulated clouds, on loopback


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One resource as the engine is about to make it."""

    type: str
    name: str
    stack: str
    parent: str  # URN; empty where the engine does not tell
    protect: bool
    props: Mapping[str, Any]

    def at(self, path: str) -> Any:
        """Return the value at a dotted path, or None where there is none; a number is a list's index."""
        value: Any = self.props
        for part in path.split("."):
            if value is None:
                return None
            if part.isdigit():
                value = value[int(part)] if len(value) > int(part) else None
            else:
                value = value.get(part)
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """What is wrong, where, and what to do about it."""

    property: str
    value: Any
    remedy: str

    def __str__(self) -> str:
        return f"{self.property} is {shown(self.value)}, want {self.remedy}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceRule:
    """A rule about one resource at a time."""

    name: str
    description: str
    types: Sequence[str]
    check: Callable[[Resource], Iterator[Violation]]
    advisory: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StackRule:
    """A rule about resources together; each violation names the one that is to be changed."""

    name: str
    description: str
    check: Callable[[Sequence[Resource]], Iterator[tuple[Resource, Violation]]]
    advisory: bool = False


def wants(resource: Resource, path: str, wanted: Any, why: str) -> Iterator[Violation]:
    """Yield a violation unless the value at `path` is the wanted one."""
    found = resource.at(path)
    if found != wanted:
        yield Violation(property=path, value=found, remedy=f"{shown(wanted)}: {why}")


def forbids(resource: Resource, path: str, why: str) -> Iterator[Violation]:
    """Yield a violation if there is anything at `path`."""
    found = resource.at(path)
    if found:
        yield Violation(property=path, value=found, remedy=f"nothing there: {why}")


def shown(value: Any) -> str:
    """Return a value as a sentence holds it."""
    if value is None:
        return "missing"
    # What the pack is given are proxies: of an object its keys tell enough, and touch no unknown value.
    if hasattr(value, "keys"):
        return "{" + ", ".join(sorted(map(str, value.keys()))) + "}"
    if not isinstance(value, str) and hasattr(value, "__len__"):
        return "[" + ", ".join(shown(member) for member in value) + "]"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
