"""Ask the kernel's configfs-tsm for a report. I/O: files under one folder.

Linux, Documentation/ABI/testing/configfs-tsm-report (6.7 and later, root only). One folder per request, made
and removed with mkdir and rmdir; `generation` counts every write to it, so that a report made from somebody
else's input is noticed. The host answers in hundreds of milliseconds and may say EBUSY: no try is repeated
without end.
"""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args

from runtime.errors import MalformedError, UnreachableError, UnsupportedTeeError

TSM_ROOT = Path("/sys/kernel/config/tsm/report")
REPORT_DATA_BYTES = 64
MAX_BLOB_SIZE = 64 * 1024  # bytes; reports are under 8 KiB and a certificate table under 16 KiB
ATTEMPTS = 6
FIRST_PAUSE_S = 0.05  # doubled after each EBUSY: 1.55 s in all, under the channel's deadline
# EBUSY: the host limits the rate. EAGAIN: another writer. EINTR: a signal.
_TRY_AGAIN = frozenset({errno.EBUSY, errno.EAGAIN, errno.EINTR})

Provider = Literal["sev_guest", "tdx_guest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the kernel got: the signed report or quote, and the table that the host added to it."""

    provider: Provider
    report: bytes
    table: bytes  # empty: the host gave none


class TsmFolder(Protocol):
    """The few file operations that configfs-tsm knows; tests put a double in their place."""

    def create(self, name: str) -> None:
        """Make the folder of one request."""
        ...

    def write(self, name: str, attribute: str, data: bytes) -> None:
        """Write an attribute in one call."""
        ...

    def read(self, name: str, attribute: str, limit: int) -> bytes:
        """Read an attribute, at most `limit` bytes and one more."""
        ...

    def remove(self, name: str) -> None:
        """Remove the folder of one request; the kernel removes its attributes."""
        ...


@dataclass(frozen=True, slots=True)
class ConfigFs:
    """`TsmFolder` on the real file system."""

    root: Path = TSM_ROOT

    def create(self, name: str) -> None:
        (self.root / name).mkdir()

    def write(self, name: str, attribute: str, data: bytes) -> None:
        descriptor = os.open(self.root / name / attribute, os.O_WRONLY | os.O_CLOEXEC)
        try:
            if os.write(descriptor, data) != len(data):
                raise OSError(errno.EIO, "the kernel took a part of the bytes", attribute)
        finally:
            os.close(descriptor)

    def read(self, name: str, attribute: str, limit: int) -> bytes:
        with (self.root / name / attribute).open("rb", buffering=0) as file:
            parts: list[bytes] = []
            while (left := limit + 1 - sum(map(len, parts))) > 0 and (part := file.read(left)):
                parts.append(part)
            return b"".join(parts)

    def remove(self, name: str) -> None:
        (self.root / name).rmdir()


class Tsm:
    """The kernel's reports, whichever TEE makes them. It blocks: `gate` runs it in a thread."""

    def __init__(self, folder: TsmFolder, *, pause: Callable[[float], None] = time.sleep) -> None:
        self.folder, self._pause = folder, pause

    def provider(self) -> Provider | None:
        """Return who makes reports here, None if nobody does or it is none we know."""
        try:
            with _Request(self.folder) as request:
                found = request.text("provider")
        except OSError:
            return None
        return next((known for known in get_args(Provider) if known == found), None)

    def report(self, report_data: bytes) -> Report:
        """Return a report over 64 bytes; of SEV-SNP the one of privilege level 0.

        Raises: UnsupportedTeeError (no such device), UnreachableError (the host kept saying no),
        MalformedError (64 bytes wanted, or a blob is too large).
        """
        if len(report_data) != REPORT_DATA_BYTES:
            raise MalformedError("report data", f"is {len(report_data)} bytes, want {REPORT_DATA_BYTES}")
        wait, last = FIRST_PAUSE_S, "no answer"
        for attempt in range(ATTEMPTS):
            if attempt:
                self._pause(wait)
                wait *= 2
            try:
                with _Request(self.folder) as request:
                    found = request.report(report_data)
            except OSError as error:
                if error.errno not in _TRY_AGAIN:
                    message = f"configfs-tsm: {error}; it wants root and a kernel of 6.7 or later in a TEE"
                    raise UnsupportedTeeError(message) from error
                last = os.strerror(error.errno)
                continue
            if found is not None:
                return found
            last = "another writer changed the request"
        message = f"the host made no report in {ATTEMPTS} attempts: {last}; try again later"
        raise UnreachableError(message)


class _Request:
    """The folder of one request; removed whatever happens."""

    def __init__(self, folder: TsmFolder) -> None:
        self.folder, self.name, self.writes = folder, f"tunnel-{os.getpid()}-{secrets.token_hex(8)}", 0

    def __enter__(self) -> _Request:
        self.folder.create(self.name)
        return self

    def __exit__(self, *_: object) -> None:
        self.folder.remove(self.name)

    def text(self, attribute: str) -> str:
        return self.folder.read(self.name, attribute, 256).decode("ascii", "replace").strip()

    def write(self, attribute: str, data: bytes) -> None:
        self.folder.write(self.name, attribute, data)
        self.writes += 1

    def generation(self) -> int:
        text = self.text("generation")
        return int(text) if text.isascii() and text.isdigit() else -1

    def report(self, report_data: bytes) -> Report | None:
        """Return the report, or None if the request was not ours alone."""
        named = self.text("provider")
        provider = next((known for known in get_args(Provider) if known == named), None)
        if provider is None:
            message = f"the kernel's report provider is {named!r}, want one of {get_args(Provider)}"
            raise UnsupportedTeeError(message)
        start = self.generation()
        self.write("inblob", report_data)
        if provider == "sev_guest":
            self.write("privlevel", b"0")
        wanted = start + self.writes
        if start < 0 or self.generation() != wanted:
            return None
        report = self.blob("outblob")
        table = self.blob("auxblob")
        if self.generation() != wanted:
            return None
        if not report:
            raise UnsupportedTeeError("the kernel made no report")
        return Report(provider=provider, report=report, table=table or b"")

    def blob(self, attribute: str) -> bytes | None:
        try:
            data = self.folder.read(self.name, attribute, MAX_BLOB_SIZE)
        except FileNotFoundError:
            return None
        if len(data) > MAX_BLOB_SIZE:
            raise MalformedError(attribute, f"is over {MAX_BLOB_SIZE} bytes")
        return data
