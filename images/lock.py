"""The package lock: which Debian packages go into which room, each by SHA-256. Pure.

One line per package: name, version, SHA-256 of its file, archive, path in the archive, rooms. Which mirror
serves an archive is the machine's own business and stands in no file (images/mirrors.py).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import unquote

from runtime.errors import DocumentError, Problem

WHAT = "package lock"
ROOMS = ("image", "initrd", "tools")
HEADER = "# name version sha256 archive path rooms; written by `make image-lock`\n"
_NAME = re.compile(r"[a-z0-9][a-z0-9.+-]+")
_VERSION = re.compile(r"[A-Za-z0-9.+~:-]+")
_PATH = re.compile(r"pool/[A-Za-z0-9][A-Za-z0-9._+~/%:-]*\.deb")
# What `apt-get --print-uris` says with Acquire::ForceHash=SHA256.
_URI = re.compile(r"'(?P<uri>\S+)' (?P<file>\S+) \d+ SHA256:(?P<sha256>[0-9a-f]{64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One Debian package file."""

    name: str
    version: str
    sha256: str  # 64 hexadecimal digits, of the .deb
    archive: str  # a name from packages.toml
    path: str  # below the archive's root
    rooms: tuple[str, ...]

    def line(self) -> str:
        """Return its line in the lock."""
        return " ".join(
            (self.name, self.version, self.sha256, self.archive, self.path, ",".join(self.rooms)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a room wants, and which dependencies it does without."""

    want: tuple[str, ...]
    without: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """packages.toml, read."""

    suites: Mapping[str, tuple[str, ...]]  # archive -> its suites
    rooms: Mapping[str, Room]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """The locked packages, sorted by name, and the digest of the file."""

    packages: tuple[Package, ...]
    sha256: bytes

    def room(self, name: str) -> tuple[Package, ...]:
        """Return the packages of one room."""
        return tuple(package for package in self.packages if name in package.rooms)


def wanted(text: str) -> Wanted:
    """Read packages.toml. Raises: DocumentError."""
    try:
        raw: dict[str, Any] = tomllib.loads(text)
        return Wanted(
            suites={name: tuple(suites) for name, suites in raw["archives"].items()},
            rooms={
                name: Room(want=tuple(raw[name]["want"]), without=frozenset(raw[name]["without"]))
                for name in ROOMS
            },
        )
    except (tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError) as error:
        raise DocumentError("packages.toml", [Problem("$", f"lacks or breaks {error}")]) from error


def read(text: str) -> Lock:
    """Read packages.lock. Raises: DocumentError with every problem."""
    problems: list[Problem] = []
    packages: list[Package] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("#") or not line:
            continue
        fields = line.split(" ")
        if len(fields) != 6:
            problems.append(Problem(f"line {number}", f"has {len(fields)} fields, want 6"))
            continue
        name, version, digest, archive, path, rooms = fields
        package = Package(
            name=name,
            version=version,
            sha256=digest,
            archive=archive,
            path=path,
            rooms=tuple(rooms.split(",")),
        )
        problems += [Problem(f"line {number}", message) for message in _mistakes(package)]
        packages.append(package)
    names = [package.name for package in packages]
    if names != sorted(set(names)):
        problems.append(Problem("$", "is not sorted by name, or names a package twice"))
    if problems:
        raise DocumentError(WHAT, problems, hint="write it again: make image-lock")
    return Lock(packages=tuple(packages), sha256=sha256(text.encode()).digest())


def _mistakes(package: Package) -> Iterable[str]:
    if not _NAME.fullmatch(package.name):
        yield f'name is "{package.name}", want a Debian package name'
    if not _VERSION.fullmatch(package.version):
        yield f'version is "{package.version}", want a Debian version'
    if not re.fullmatch(r"[0-9a-f]{64}", package.sha256):
        yield f'sha256 is "{package.sha256}", want 64 lower-case hexadecimal digits'
    if not _PATH.fullmatch(package.path) or ".." in package.path:
        yield f'path is "{package.path}", want pool/….deb'
    if unknown := set(package.rooms) - set(ROOMS):
        yield f"rooms has {', '.join(sorted(unknown))}, want some of {', '.join(ROOMS)}"


def write(packages: Iterable[Package]) -> str:
    """Return the lock's text."""
    return HEADER + "".join(f"{package.line()}\n" for package in sorted(packages, key=lambda p: p.name))


def resolved(uris: Mapping[str, str], want: Wanted, roots: Mapping[str, str]) -> tuple[Package, ...]:
    """Merge what apt resolved for each room: `uris` is room -> output of `apt-get --print-uris`.

    `roots` is archive -> URL below which its pool is. Raises: DocumentError.
    """
    found: dict[str, Package] = {}
    for room, output in uris.items():
        for match in _URI.finditer(output):
            name, version = match["file"].removesuffix(".deb").rsplit("_", 1)[0].split("_", 1)
            if name in want.rooms[room].without:
                continue
            archive, path = _place(match["uri"], roots)
            before = found.get(name)
            found[name] = Package(
                name=name,
                version=unquote(version),
                sha256=match["sha256"],
                archive=archive,
                path=path,
                rooms=(*(before.rooms if before else ()), room),
            )
    return tuple(found[name] for name in sorted(found))


def _place(uri: str, roots: Mapping[str, str]) -> tuple[str, str]:
    for archive, root in roots.items():
        base = root.rstrip("/") + "/"
        if uri.startswith(base):
            return archive, uri.removeprefix(base)
    raise DocumentError(WHAT, [Problem(uri, "is below none of the machine's archives")])
