"""Write a cpio archive in the kernel's `newc` format (Documentation/driver-api/early-userspace). Pure.

Sorted, owned by root, without dates: the same files make the same bytes.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass

_MAGIC = b"070701"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, folder, symbolic link or character device of the archive."""

    mode: int  # type and permissions, as in stat(2)
    data: bytes = b""  # a file's bytes, or a link's target
    device: tuple[int, int] = (0, 0)


def file(data: bytes, *, executable: bool = False) -> Entry:
    """A regular file."""
    return Entry(stat.S_IFREG | (0o755 if executable else 0o644), data)


def link(target: str) -> Entry:
    """A symbolic link."""
    return Entry(stat.S_IFLNK | 0o777, target.encode())


def folder() -> Entry:
    """A folder."""
    return Entry(stat.S_IFDIR | 0o755)


def console() -> Entry:
    """The character device /dev/console, which the kernel opens before anything is mounted."""
    return Entry(stat.S_IFCHR | 0o600, device=(5, 1))


def write(entries: Mapping[str, Entry]) -> bytes:
    """Return the archive; parents that are not named are made."""
    everything = dict(entries)
    for path in entries:
        parts = path.split("/")[:-1]
        for count in range(1, len(parts) + 1):
            everything.setdefault("/".join(parts[:count]), folder())
    out = bytearray()
    for number, path in enumerate(sorted(everything), start=1):
        _append(out, path, everything[path], number)
    _append(out, "TRAILER!!!", Entry(0), 0)
    return bytes(out)


def _append(out: bytearray, path: str, entry: Entry, number: int) -> None:
    name = path.encode() + b"\0"
    fields = (
        number, entry.mode, 0, 0, 1, 0, len(entry.data), 0, 0, *entry.device, len(name), 0,
    )  # fmt: skip
    out += _MAGIC + b"".join(b"%08X" % value for value in fields) + name
    out += bytes(-len(out) % 4)
    out += entry.data
    out += bytes(-len(out) % 4)
