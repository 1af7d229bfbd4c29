"""What was fetched, kept in a folder: tmpfs in the image, so that it lasts as long as the boot. I/O.

One file per want, named by the SHA-256 of its key; inside, the very bytes. Nothing else is kept: how long
they are good is read from them each time, so a file that somebody put there can at most be refused.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from runtime.attestation.endorsements.contents import MAX_BODY_SIZE

MAX_FILES = 256  # a member needs about eight; the oldest go first


@dataclass(frozen=True, slots=True)
class Cache:
    """A folder of answers."""

    folder: Path

    def get(self, key: str) -> bytes | None:
        """Return what was kept, if anything."""
        try:
            with (self.folder / _name(key)).open("rb") as file:
                return file.read(MAX_BODY_SIZE + 1)
        except OSError:
            return None

    def put(self, key: str, body: bytes) -> None:
        """Keep an answer, whole or not at all. A full or missing disk keeps nothing, which costs a fetch."""
        with suppress(OSError):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._make_room()
            descriptor, part = tempfile.mkstemp(dir=self.folder, prefix=".part-")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(body)
                Path(part).replace(self.folder / _name(key))
            except OSError:
                Path(part).unlink(missing_ok=True)
                raise

    def _make_room(self) -> None:
        files = sorted(self.folder.iterdir(), key=lambda path: path.stat().st_mtime)
        for path in files[: max(0, len(files) - MAX_FILES + 1)]:
            path.unlink(missing_ok=True)


def _name(key: str) -> str:
    return sha256(key.encode()).hexdigest()
