"""Unpack Debian packages without dpkg: an `ar` archive that holds a tar of files. I/O: what it writes.

No maintainer script runs, nothing but files, folders and symbolic links is made, and every mode loses setuid,
setgid, sticky and what group and others may write (deb(5)).
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from runtime.errors import MalformedError

_MAGIC = b"!<arch>\n"
_HEADER_SIZE = 60  # bytes: name 16, mtime 12, owner 6, group 6, mode 8, size 10, end 2


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a package: its path without a leading slash, and its bytes."""

    path: str
    executable: bool
    data: bytes


def data_tar(package: bytes) -> bytes:
    """Return the member data.tar.* of a .deb. Raises: MalformedError."""
    if not package.startswith(_MAGIC):
        raise MalformedError("package", "is no ar archive", offset=0)
    at = len(_MAGIC)
    while at + _HEADER_SIZE <= len(package):
        header = package[at : at + _HEADER_SIZE]
        name, size = header[:16].rstrip(b" /").decode("ascii", "replace"), header[48:58].strip()
        if header[58:] != b"`\n" or not size.isdigit():
            raise MalformedError("package", "has a broken ar header", offset=at)
        start = at + _HEADER_SIZE
        if name.startswith("data.tar"):
            return package[start : start + int(size)]
        at = start + int(size) + int(size) % 2
    raise MalformedError("package", "has no data.tar")


def members(package: bytes) -> Iterator[tuple[tarfile.TarInfo, str, tarfile.TarFile]]:
    """Yield every entry of a .deb with its clean path. Raises: MalformedError."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data_tar(package))) as archive:
            for entry in archive:
                yield entry, clean(entry.name), archive
    except (tarfile.TarError, EOFError, OSError) as error:
        raise MalformedError("package", f"data.tar: {error}") from error


def clean(name: str) -> str:
    """Return a member's path without `./`. Raises: MalformedError for one that leaves the root."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise MalformedError("package", f"{name} leaves the root")
    return path.as_posix().removeprefix("./").removeprefix(".")


def unpack(package: bytes, root: Path, keep: Callable[[str], bool]) -> list[str]:
    """Write the members that `keep` accepts below `root`; returns their paths."""
    made: list[str] = []
    for entry, path, archive in members(package):
        if not path or entry.isdir() or not keep(path):
            continue
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_symlink() or target.exists():
            target.unlink()
        if entry.issym():
            target.symlink_to(entry.linkname)
        elif entry.islnk():
            source = root / clean(entry.linkname)
            target.write_bytes(source.read_bytes())
            target.chmod(0o755 if entry.mode & 0o100 else 0o644)
        elif entry.isfile():
            content = archive.extractfile(entry)
            target.write_bytes(content.read() if content else b"")
            target.chmod(0o755 if entry.mode & 0o100 else 0o644)
        else:
            continue
        made.append(path)
    return made
