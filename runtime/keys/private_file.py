"""A file whose bytes are a secret: read only while nobody but its owner can reach it. I/O."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from runtime.errors import UsageError

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def read(path: Path, *, secret: str, largest: int, hint: str = "") -> bytes:
    """Return the file's first `largest` bytes; `secret` names them, `hint` follows `chmod 600`.

    Raises: UsageError: it cannot be read, or others may read or write it.
    """
    try:
        with path.open("rb") as file:
            # Of the opened file, not of its name: the name may point elsewhere a moment later.
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read(largest)
    except OSError as error:
        message = f"{path}: {error.strerror}"
        raise UsageError(message) from error
    if mode & _OTHERS:
        message = f"{path} has mode {mode:04o}, want 0600: others may read {secret}"
        raise UsageError(message, hint=f"chmod 600 {path}{hint}")
    return data
