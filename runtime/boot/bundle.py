"""A client's bundle: fetched, held against its SHA-256, unpacked into memory, served on loopback. I/O.

A bundle is a tar of a static site, plain or gzip. Only files and folders are taken from it, under names that
cannot leave the folder; the size on the wire, unpacked, and the number of files are bounded.
"""

from __future__ import annotations

import io
import os
import re
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from runtime.documents.settings import Bundle
from runtime.errors import MalformedError, UnreachableError

if TYPE_CHECKING:
    from aiohttp import web

MAX_BUNDLE_SIZE = 32 * 1024 * 1024  # bytes on the wire
MAX_UNPACKED_SIZE = 96 * 1024 * 1024  # bytes; it lives in memory
MAX_FILES = 10_000
PATIENCE_S = 600.0
_DEADLINE_S = 60.0
_PAUSE_S = 2.0
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._~ @+=,()-]{0,126}|\.well-known")
_WHAT = "bundle"


def fetch(
    bundle: Bundle,
    get: Callable[[str], bytes],
    *,
    pause: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> bytes:
    """Return the bundle's bytes, from the first URL that serves exactly them.

    Raises: MalformedError when every URL serves other bytes; UnreachableError after ten minutes.
    """
    began = monotonic()
    while True:
        wrong: list[str] = []
        silent: list[str] = []
        for url in bundle.urls:
            try:
                data = get(url)
            except (OSError, urllib.error.URLError, ValueError) as error:
                silent.append(f"{url}: {error}")
                continue
            got = sha256(data).digest()
            if len(data) <= MAX_BUNDLE_SIZE and got == bundle.sha256:
                return data
            wrong.append(f"{url} serves {got.hex()}")
        if not silent:
            raise MalformedError(_WHAT, f"want {bundle.sha256.hex()}, but {'; '.join(wrong)}")
        if monotonic() - began > PATIENCE_S:
            raise UnreachableError(f"no bundle: {'; '.join(silent + wrong)}")
        pause(_PAUSE_S)


def download(url: str) -> bytes:
    """Return what a URL serves, at most one byte more than a bundle may have. Raises: OSError."""
    if not url.startswith(("http://", "https://")):
        message = f"{url} is neither http:// nor https://"
        raise ValueError(message)
    with urllib.request.urlopen(url, timeout=_DEADLINE_S) as answer:  # noqa: S310 - the line above
        data: bytes = answer.read(MAX_BUNDLE_SIZE + 1)
    return data


def unpack(data: bytes, folder: Path) -> int:
    """Unpack into `folder`, which has to be empty; returns how many files. Raises: MalformedError."""
    total = count = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:*") as archive:
            for entry in archive:
                parts = _parts(entry.name)
                if entry.isdir():
                    folder.joinpath(*parts).mkdir(parents=True, exist_ok=True)
                    continue
                if not entry.isreg() or not parts:
                    raise MalformedError(_WHAT, f"{entry.name!r} is neither a file nor a folder")
                total, count = total + entry.size, count + 1
                if total > MAX_UNPACKED_SIZE or count > MAX_FILES:
                    raise MalformedError(
                        _WHAT, f"is over {MAX_UNPACKED_SIZE} bytes or {MAX_FILES} files unpacked"
                    )
                _write(folder.joinpath(*parts), archive.extractfile(entry))
    except (tarfile.TarError, EOFError, OSError) as error:
        raise MalformedError(_WHAT, f"is no tar of files: {error}") from error
    if count == 0:
        raise MalformedError(_WHAT, "holds no file")
    return count


def _parts(name: str) -> Sequence[str]:
    parts = PurePosixPath(name).parts
    if bad := [part for part in parts if not _PART.fullmatch(part)]:
        raise MalformedError(_WHAT, f"{name!r} has the part {bad[0]!r}, want letters, digits and ._~ @+=,()-")
    return parts


def _write(target: Path, content: io.BufferedIOBase | object) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o444)
    with os.fdopen(descriptor, "wb") as file:
        if not isinstance(content, io.BufferedReader | tarfile.ExFileObject):
            raise MalformedError(_WHAT, f"{target.name} has no bytes")
        while block := content.read(1 << 16):
            file.write(block)


def application(folder: Path) -> web.Application:
    """Return the static site: `index.html` for a folder, nothing that is not in the bundle."""
    from aiohttp import web

    root = folder.resolve()

    async def serve(request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        target = (root / path).resolve()
        if not target.is_relative_to(root):
            raise web.HTTPNotFound
        if target.is_dir():
            if path and not path.endswith("/"):
                raise web.HTTPMovedPermanently(f"/{path}/")
            target = target / "index.html"
        if not target.is_file():
            raise web.HTTPNotFound
        return web.FileResponse(target, headers={"X-Content-Type-Options": "nosniff"})

    site = web.Application()
    site.router.add_get("/{path:.*}", serve)
    return site
