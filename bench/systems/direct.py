"""No tunnel at all: what load, origin and machine cost by themselves."""

from __future__ import annotations

from bench.machine import Processes
from bench.material import Material
from bench.systems.model import Running, System


def _start(processes: Processes, material: Material, origin: int) -> Running:
    del processes, material
    return Running(port=origin, server=None, client=None)


DIRECT = System(name="direct", missing=lambda: None, version=lambda: "no tunnel", start=_start)
