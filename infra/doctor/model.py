"""What a question to a cloud is, and what its answer means. Pure.

Nothing here changes anything: every command only lists, shows or describes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["ok", "failed", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at; a failure has the command, or the step, that mends it."""

    check: str
    verdict: Verdict
    detail: str
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command said: its JSON, or why it has none."""

    value: Any  # None: it failed
    error: str


Ask = Callable[[Sequence[str]], Answer]


def ok(check: str, detail: str) -> Finding:
    """Return a good finding."""
    return Finding(check=check, verdict="ok", detail=detail)


def failed(check: str, detail: str, fix: str) -> Finding:
    """Return a finding that somebody has to mend."""
    return Finding(check=check, verdict="failed", detail=detail, fix=fix)


def unanswered(check: str, answer: Answer, fix: str) -> Finding:
    """Return a finding about a question that was not answered."""
    return Finding(check=check, verdict="unknown", detail=answer.error, fix=fix)


def room(check: str, *, limit: float, used: float, wanted: int, fix: str) -> Finding:
    """Return whether a quota has room for what a fleet wants more."""
    detail = f"{limit - used:g} of {limit:g} are free, the fleet takes {wanted}"
    return ok(check, detail) if limit - used >= wanted else failed(check, detail, fix)


def cores(machine_type: str) -> int:
    """Return a type's vCPUs, as its name says them in each cloud."""
    family, _, size = machine_type.rpartition(".")
    if family:  # EC2: large is 2, xlarge 4, Nxlarge 4N
        count = size.removesuffix("xlarge")
        return 2 if size == "large" else 4 * int(count or 1)
    tail = machine_type.rpartition("-")[2]
    if tail.isdigit():  # c3-standard-4
        return int(tail)
    # Standard_DC2as_v5
    digits = "".join(c if c.isdigit() else " " for c in machine_type.split("_")[1]).split()
    return int(digits[0])


def total(items: Iterable[tuple[str, int]]) -> Mapping[str, int]:
    """Return the sums by key, in the order of their first item."""
    found: dict[str, int] = {}
    for key, value in items:
        found[key] = found.get(key, 0) + value
    return found
