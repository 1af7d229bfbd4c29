"""What the bench needs of a system. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.machine import Processes
from bench.material import Material


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A system that serves: visitors' port, and the root process of each side (None: it has none)."""

    port: int
    server: int | None
    client: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One line of every table."""

    name: str
    missing: Callable[[], str | None]  # why it cannot run here
    version: Callable[[], str]
    start: Callable[[Processes, Material, int], Running]  # the int: the origin's port
