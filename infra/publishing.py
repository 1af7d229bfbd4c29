"""Put a signed document where members fetch it: in a folder, or at an HTTPS URL by PUT. I/O.

What is there is read first, as a member would, without our headers: a version that does not rise is refused
before anything is written. After a PUT it is read again, since only what everybody may read is published.
"""

from __future__ import annotations

import http.client
import os
import re
import ssl
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from runtime.errors import UnreachableError, UsageError

_DEADLINE_S = 30.0  # for one connection's every step
_LARGEST = 1 << 20  # bytes; a member reads no more either
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_HEADER = re.compile(r"([A-Za-z0-9-]{1,100}):[ \t]*([\x21-\x7e](?:[\x20-\x7e]{0,16000}[\x21-\x7e])?)")
# What object stores answer for a name that is not there: S3 says 403 to whoever may not list the bucket.
_NOTHING = (403, 404, 410)
_STORED = (200, 201, 204)


class Target(Protocol):
    """One place that members fetch a document from."""

    def published(self) -> bytes | None:
        """Return what is there now. Raises: TunnelError."""
        ...

    def put(self, envelope: bytes) -> None:
        """Replace it. Raises: TunnelError."""
        ...


def target(text: str, file: str, headers: Mapping[str, str]) -> Target:
    """Return the place that `--publish` names; `file` is its name in a folder. Raises: UsageError."""
    if "://" not in text:
        return Folder(path=Path(text) / file)
    parts = urlsplit(text)
    if parts.scheme != "https" or not parts.hostname:
        message = f"--publish is {text!r}, want a folder or an https:// URL: the headers are a secret"
        raise UsageError(message)
    return Url(url=text, headers=headers)


def read_headers(path: Path) -> dict[str, str]:
    """Return the headers of a file, one `Name: value` a line. Raises: UsageError: others may read it."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            lines = file.read(_LARGEST).decode("latin-1").splitlines()
    except OSError as error:
        message = f"{path}: {error.strerror}"
        raise UsageError(message) from error
    if mode & _OTHERS:
        message = f"{path} has mode {mode:04o}, want 0600: others may read what authorises you"
        raise UsageError(message, hint=f"chmod 600 {path}")
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        header = _HEADER.fullmatch(line)
        if line.strip() and header is None:
            message = f"{path} line {number} is no header, want `Name: value`"  # never its text: a secret
            raise UsageError(message)
        if header is not None:
            found[header[1]] = header[2]
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A file in a folder that some web server serves."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def published(self) -> bytes | None:
        """Return the file's bytes. Raises: UsageError."""
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            message = f"{self.path}: {error.strerror}"
            raise UsageError(message) from error

    def put(self, envelope: bytes) -> None:
        """Replace the file at once. Raises: UsageError."""
        write(self.path, envelope)


@dataclass(frozen=True, slots=True, kw_only=True)
class Url:
    """A URL that takes PUT: an object store's, or a web server's."""

    url: str
    headers: Mapping[str, str]  # what authorises us, and what the store wants beside it

    def __str__(self) -> str:
        return self.url

    def published(self) -> bytes | None:
        """Return what anybody gets there. Raises: UnreachableError."""
        status, body = self._ask("GET", None, {"Cache-Control": "no-cache"})
        if status in _NOTHING:
            return None
        if status != http.client.OK:
            message = f"{self.url} answered {status} to GET, want 200, or 404 before the first document"
            raise UnreachableError(message)
        return body

    def put(self, envelope: bytes) -> None:
        """PUT it, and see that anybody gets it. Raises: UnreachableError."""
        status, _ = self._ask("PUT", envelope, {"Content-Type": "application/json", **self.headers})
        if status not in _STORED:
            message = f"{self.url} answered {status} to PUT, want {', '.join(map(str, _STORED))}"
            raise UnreachableError(message)
        found = self.published()
        if found != envelope:
            what = "nothing" if found is None else "other bytes"
            message = f"{self.url} took the document, but gives {what} to whoever asks without headers"
            raise UnreachableError(message)

    def _ask(self, method: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        parts = urlsplit(self.url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            connection = http.client.HTTPSConnection(
                parts.hostname or "", parts.port, timeout=_DEADLINE_S, context=ssl.create_default_context()
            )
            try:
                connection.request(method, path, body=body, headers=dict(headers))
                with connection.getresponse() as answer:  # no redirect is followed: members follow none
                    return answer.status, answer.read(_LARGEST + 1)
            finally:
                connection.close()
        except (OSError, http.client.HTTPException, ValueError) as error:
            message = f"{self.url} did not answer {method}: {type(error).__name__} {error}"
            raise UnreachableError(message) from error


def write(path: Path, data: bytes) -> None:
    """Replace a file at once: a web server must never hand out half of it. Raises: UsageError."""
    beside = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        message = f"{path}: {error.strerror}"
        raise UsageError(message) from error
