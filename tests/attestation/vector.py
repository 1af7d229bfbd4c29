"""One negative vector: evidence that is right in everything but one thing, and the check that says so. Pure.

It is real in format and really signed, under throw-away roots (`tests.fakes.machines`); what is wrong was
wrong before it was signed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.amd import FakeAmd
from tests.fakes.machines import FakeMachine

Make = Callable[[FakeMachine, FakeAmd], dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """One thing wrong: how to make it, and the one check that has to say so."""

    section: str  # of the list of checks
    what: str
    format: str
    check: str  # "malformed" where the bytes are no instance of their format
    reason: str
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])  # of `FakeMachine.evidence`
    lazy: Make | None = (
        None  # makes options that need the machine; also "fleet", "roots", "pins" (more roots)
    )
    fleet: Mapping[str, Any] = field(default_factory=dict[str, Any])  # of `platforms.document`
    how: Mapping[str, Any] = field(default_factory=dict[str, Any])  # of `platforms.appraise`
    says: str = ""  # what the parser complains of, where the reason is "malformed"
    also: tuple[str, ...] = ()  # checks that the same one thing cannot but fail as well


def vector(section: str, what: str, form: str, check: str, reason: str, **more: Any) -> Vector:
    """Return a vector."""
    return Vector(section=section, what=what, format=form, check=check, reason=str(reason), **more)
