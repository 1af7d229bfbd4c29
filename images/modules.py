"""Choose kernel modules: the named ones and what they depend on. Pure.

A module's own `.modinfo` says its dependencies, so the choice needs no depmod and no running kernel.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from runtime.errors import MalformedError

_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")
_SOFT = re.compile(rb"\0softdep=pre: ([^\0]*)\0")


def name_of(path: str) -> str:
    """Return a module's name, as modprobe knows it, from its file."""
    return path.rsplit("/", 1)[1].split(".ko", 1)[0].replace("-", "_")


def dependencies(module: bytes) -> tuple[str, ...]:
    """Return the names that a module's .modinfo wants loaded before it."""
    hard = _DEPENDS.search(module)
    soft = _SOFT.search(module)
    names = (hard[1].decode().split(",") if hard else []) + (soft[1].decode().split() if soft else [])
    return tuple(name.replace("-", "_") for name in names if name)


def chosen(
    wanted: Iterable[str], paths: Iterable[str], built_in: Iterable[str], read: Callable[[str], bytes]
) -> tuple[str, ...]:
    """Return paths in loading order: dependencies first. Raises: MalformedError for an unknown module.

    `read` returns a module's bytes, unpacked.
    """
    by_name = {name_of(path): path for path in paths}
    present = {name_of(path) for path in built_in}
    order: dict[str, str] = {}
    seen: set[str] = set()

    def add(name: str, *, required: bool) -> None:
        if name in seen or name in present:
            return
        seen.add(name)
        if name not in by_name:
            if required:
                raise MalformedError("kernel", f"has no module {name}")
            return
        for other in dependencies(read(by_name[name])):
            add(other, required=False)
        order.setdefault(name, by_name[name])

    for name in wanted:
        add(name.replace("-", "_"), required=True)
    return tuple(order.values())
