"""Put a signed document where members fetch it: in a folder, or at an HTTPS URL by PUT. I/O.

What is there is read first, as a member would, without our headers: a version that does not rise is refused
before anything is written, and so is one that cannot be compared with what is there. After a PUT it is read
again, since only what everybody may read is published. Headers go to the host they were given for, and no
query is shown: both may authorise.
"""

from __future__ import annotations

import http.client
import os
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from runtime.errors import UnreachableError, UsageError
from runtime.keys import private_file

_DEADLINE_S = 30.0  # for one connection's every step
_LARGEST = 1 << 20  # bytes; a member reads no more either
_HEADER = re.compile(r"([A-Za-z0-9-]{1,100}):[ \t]*([\x21-\x7e](?:[\x20-\x7e]{0,16000}[\x21-\x7e])?)")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
_URL = re.compile(r"[\x21-\x7e]+")  # a request line's; urlsplit drops some of the rest unsaid
_NOTHING = (404, 410)
# There is nothing, or something that we may not see: S3 says 403 for both to whoever may not list the bucket.
_CLOSED = (401, 403)
_STORED = (200, 201, 204)
_HTTPS = 443

Headers = Mapping[str, str]


class Target(Protocol):
    """One place that members fetch a document from."""

    def published(self) -> bytes | None:
        """Return what is there now. Raises: TunnelError."""
        ...

    def put(self, envelope: bytes) -> None:
        """Replace it. Raises: TunnelError."""
        ...


def targets(texts: Sequence[str], file: str, headers: Mapping[str, Headers], *, first: bool) -> list[Target]:
    """Return the places that `--publish` names; `file` is the document's name in a folder.

    `headers` are by HOST[:PORT] (`header_files`); `first`: nothing is there yet where GET is refused.
    Raises: UsageError, also for headers that no URL gets.
    """
    found = [_target(text, file, headers, first=first) for text in texts]
    asked = {place.server for place in found if isinstance(place, Url)}
    for server in headers:
        if server not in asked:
            message = f"--header-file is for {server!r}, want the HOST[:PORT] of a --publish URL: "
            message += ", ".join(sorted(asked)) or "there is none"
            raise UsageError(message)
    return found


def _target(text: str, file: str, headers: Mapping[str, Headers], *, first: bool) -> Target:
    if not _SCHEME.match(text):
        return Folder(path=Path(text) / file)
    shown = re.sub(r":/.*@", "://…@", re.sub(r"(?s)[?#].*", "?…", text))
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:  # of brackets or a port; what it says may quote a password
        host = port = parts = None
    if parts is None or parts.scheme != "https" or not host or not _URL.fullmatch(text):
        message = f"--publish is {shown!r}, want a folder or an https:// URL: the headers are a secret"
        raise UsageError(message)
    if "@" in parts.netloc:
        message = f"--publish is {shown!r}, want no user in it"
        raise UsageError(message, hint="an Authorization header in a --header-file says who you are")
    bracketed = f"[{host}]" if ":" in host else host
    server = bracketed if port in {None, _HTTPS} else f"{bracketed}:{port}"
    return Url(
        server=server,
        path=parts.path or "/",
        query=parts.query,
        headers=headers.get(server, {}),
        first=first,
    )


def header_files(texts: Sequence[str]) -> dict[str, Headers]:
    """Return the headers that each `HOST[:PORT]=FILE` gives to a host. Raises: UsageError."""
    found: dict[str, Headers] = {}
    for text in texts:
        server, mark, path = text.partition("=")
        server = server.lower().removesuffix(f":{_HTTPS}")
        if not mark or not path or not server or "/" in server:
            message = "--header-file wants HOST[:PORT]=FILE: each host of --publish has headers of its own"
            raise UsageError(message)
        if server in found:
            message = f"--header-file names {server!r} twice, want one file for each host"
            raise UsageError(message)
        found[server] = read_headers(Path(path))
    return found


def read_headers(path: Path) -> dict[str, str]:
    """Return the headers of a file, one `Name: value` a line.

    Raises: UsageError: others may read it, a line is no header, a header is there twice.
    """
    data = private_file.read(path, secret="what authorises you", largest=_LARGEST)  # noqa: S106 - for people
    lines = data.decode("latin-1").splitlines()
    found: dict[str, str] = {}
    first: dict[str, int] = {}  # line of each name, which is the same however it is written
    for number, line in enumerate(lines, 1):
        header = _HEADER.fullmatch(line)
        if line.strip() and header is None:
            message = f"{path} line {number} is no header, want `Name: value`"  # never its text: a secret
            raise UsageError(message)
        if header is not None:
            before = first.setdefault(header[1].lower(), number)
            if before != number:
                message = (
                    f"{path} line {number} has the header {header[1]} again, want it once: see line {before}"
                )
                raise UsageError(message)
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
    """A URL that takes PUT: an object store's, or a web server's. Neither it nor its repr shows a secret."""

    server: str  # HOST[:PORT]
    path: str
    query: str = field(repr=False)  # may be a signature
    headers: Headers = field(repr=False)  # what authorises us, and what the store wants beside it
    first: bool  # the owner says that nothing is there: who may not look finds nothing

    def __str__(self) -> str:
        return f"https://{self.server}{self.path}" + ("?…" if self.query else "")

    def published(self) -> bytes | None:
        """Return what anybody gets there. Raises: UsageError, UnreachableError."""
        status, body = self._look()
        if status in _NOTHING or (self.first and status in _CLOSED):
            return None
        if status in _CLOSED:
            message = f"{self} answered {status} to GET, so what is published there cannot be compared with"
            raise UsageError(message, hint="let everybody read it; if nothing is there yet, say --first")
        if status != http.client.OK:
            message = f"{self} answered {status} to GET, want 200, or 404 before the first document: "
            raise UnreachableError(message + "nothing is written until it does")
        return body

    def put(self, envelope: bytes) -> None:
        """PUT it, and see that anybody gets it. Raises: UnreachableError."""
        kind = {"Content-Type": "application/json"}
        ours = {} if any(name.lower() == "content-type" for name in self.headers) else kind
        status, _ = self._ask("PUT", envelope, {**ours, **self.headers})
        if status not in _STORED:
            message = f"{self} answered {status} to PUT, want {', '.join(map(str, _STORED))}"
            raise UnreachableError(message)
        status, found = self._look()
        if (status, found) != (http.client.OK, envelope):
            what = "gives other bytes" if status == http.client.OK else f"answers {status}"
            message = f"{self} took the document, but {what} to whoever asks without headers"
            raise UnreachableError(message)

    def _look(self) -> tuple[int, bytes]:
        return self._ask("GET", None, {"Cache-Control": "no-cache"})

    def _ask(self, method: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        path = self.path + (f"?{self.query}" if self.query else "")
        try:
            connection = http.client.HTTPSConnection(
                self.server, timeout=_DEADLINE_S, context=ssl.create_default_context()
            )
            try:
                connection.request(method, path, body=body, headers=dict(headers))
                with connection.getresponse() as answer:  # no redirect is followed: members follow none
                    return answer.status, answer.read(_LARGEST + 1)
            finally:
                connection.close()
        except (OSError, http.client.HTTPException, ValueError) as error:
            message = f"{self} did not answer {method}: {type(error).__name__} {error}"
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
