"""Ask this machine's TEE for evidence, through the kernel's configfs-tsm. I/O: files under one folder.

Linux, Documentation/ABI/testing/configfs-tsm-report (6.7 and later, root only). One folder per request, made
and removed with mkdir and rmdir; `generation` counts every write to it, so that a report made from somebody
else's input is noticed. The host answers in hundreds of milliseconds and may say EBUSY: it all happens in a
thread, and no try is repeated without end.
"""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from runtime.attestation.model import Evidence
from runtime.errors import MalformedError, UnreachableError, UnsupportedTeeError

TSM_ROOT = Path("/sys/kernel/config/tsm/report")
REPORT_DATA_BYTES = 64
MAX_BLOB_SIZE = 64 * 1024  # bytes; a report is 1,184 and a certificate table under 16 KiB
ATTEMPTS = 6
FIRST_PAUSE_S = 0.05  # doubled after each EBUSY: 1.55 s in all, under the channel's deadline
_PROVIDER = "sev_guest"
# EBUSY: the host limits the rate. EAGAIN: another writer. EINTR: a signal.
_TRY_AGAIN = frozenset({errno.EBUSY, errno.EAGAIN, errno.EINTR})


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

    root: Path

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


class TsmAttester:
    """SEV-SNP through configfs-tsm: report and, where the host gives one, its certificate table."""

    def __init__(
        self,
        root: Path = TSM_ROOT,
        *,
        endorsements: Mapping[str, bytes] = MappingProxyType({}),
        folder: TsmFolder | None = None,
        first_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        """Use the mount point `root`; `endorsements` were fetched before and travel along."""
        self.folder = ConfigFs(root) if folder is None else folder
        self.endorsements = dict(endorsements)
        self.first_pause_s = first_pause_s
        self.one_at_a_time = asyncio.Lock()

    def available(self) -> bool:
        """Tell whether the kernel offers reports of this provider."""
        try:
            with _Request(self.folder) as request:
                return request.text("provider") == _PROVIDER
        except OSError:
            return False

    async def collect(self, report_data: bytes) -> Evidence:
        """Return the report for `report_data` at privilege level 0.

        Raises: UnsupportedTeeError (no such device), UnreachableError (the host kept saying no),
        MalformedError (64 bytes wanted, or a blob is too large).
        """
        if len(report_data) != REPORT_DATA_BYTES:
            raise MalformedError("report data", f"is {len(report_data)} bytes, want {REPORT_DATA_BYTES}")
        # Two requests at once make the host answer EBUSY to one: sessions and the endpoint wait here instead.
        async with self.one_at_a_time:
            return await asyncio.to_thread(self._collect, report_data)

    def _collect(self, report_data: bytes) -> Evidence:
        pause, last = self.first_pause_s, "no answer"
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(pause)
                pause *= 2
            try:
                with _Request(self.folder) as request:
                    found = request.report(report_data)
            except OSError as error:
                if error.errno not in _TRY_AGAIN:
                    message = f"configfs-tsm: {error}"
                    raise UnsupportedTeeError(message) from error
                last = os.strerror(error.errno)
                continue
            if found is not None:
                report, table = found
                own = {"cert_table": table} if table else {}
                return Evidence(
                    format="sev-snp", parts={"snp_report": report}, endorsements=own | self.endorsements
                )
            last = "another writer changed the request"
        message = f"the host made no report in {ATTEMPTS} attempts: {last}"
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

    def report(self, report_data: bytes) -> tuple[bytes, bytes] | None:
        """Return report and certificate table, or None if the request was not ours alone."""
        provider = self.text("provider")
        if provider != _PROVIDER:
            message = f"the kernel's report provider is {provider!r}, want {_PROVIDER!r}"
            raise UnsupportedTeeError(message)
        start = self.generation()
        self.write("inblob", report_data)
        self.write("privlevel", b"0")
        wanted = start + self.writes
        if start < 0 or self.generation() != wanted:
            return None
        report = self.blob("outblob")
        table = self.blob("auxblob")
        if self.generation() != wanted:
            return None
        if report is None:
            raise UnsupportedTeeError("the kernel made no report")
        return report, table or b""

    def blob(self, attribute: str) -> bytes | None:
        try:
            data = self.folder.read(self.name, attribute, MAX_BLOB_SIZE)
        except FileNotFoundError:
            return None
        if len(data) > MAX_BLOB_SIZE:
            raise MalformedError(attribute, f"is over {MAX_BLOB_SIZE} bytes")
        return data
