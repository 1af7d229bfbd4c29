"""One JSON object per line on standard error. I/O.

What goes in: events, codes, member names, addresses. What never does: keys, secrets, visitor bytes.
A thread of its own writes all of it: whoever reads standard error slowly (a serial console does) must not
hold up a loop that carries streams. What may wait is bounded, the access log's lines, of which strangers can
cause any number, at half of it; what is beyond is dropped, and the next line says how many were.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

ACCESS = "tunnel.access"
MAX_WAITING = 8192  # lines, about 4 MiB
_END_S = 2.0  # what lines that wait get to be written at the end


class JsonLines(logging.Formatter):
    """time, monotonic, level, logger, event, then the event's own fields.

    The host sets the wall clock; between two lines of a machine the monotonic clock tells how long it was.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds"),
            "monotonic": round(getattr(record, "monotonic", time.monotonic()), 6),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        line |= getattr(record, "fields", {})
        if dropped := getattr(record, "dropped_before", 0):
            line["dropped_before"] = dropped
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class Aside(logging.Handler):
    """Formats and writes in a thread, which starts with the first line."""

    def __init__(self, write: Callable[[str], object], *, most: int = MAX_WAITING) -> None:
        super().__init__()
        self.setFormatter(JsonLines())
        self._to, self._most = write, most
        # Not `Queue`: what the collector finds may be logged from within `put`, and that one has a lock.
        self._waiting: queue.SimpleQueue[logging.LogRecord | None] = queue.SimpleQueue()
        self._dropped = 0
        self._thread: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a line over, or drop it; never waits."""
        if self._waiting.qsize() >= (self._most // 2 if record.name == ACCESS else self._most):
            self._dropped += 1
            return
        record.monotonic = time.monotonic()
        if self._dropped:
            record.dropped_before = self._dropped
            self._dropped = 0
        self._waiting.put(record)
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="log", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Write what waits, if it can be written soon."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join(_END_S)
            self._thread = None
        super().close()

    def _write(self) -> None:
        while (record := self._waiting.get()) is not None:
            try:
                self._to(self.format(record) + "\n")
            except (OSError, ValueError):  # nobody reads any more: a log is no reason to end
                self._dropped += 1


def to_stderr(level: int = logging.INFO) -> None:
    """Send every logger's events to standard error."""
    root = logging.getLogger()
    for old in root.handlers:
        old.close()
    root.handlers[:] = [Aside(_to_descriptor(sys.stderr.fileno()))]
    root.setLevel(level)


def _to_descriptor(descriptor: int) -> Callable[[str], None]:
    """Return a writer without a buffer: nothing of it is locked when the interpreter ends in the middle."""

    def write(text: str) -> None:
        data = text.encode("utf-8", "replace")
        while data:
            data = data[os.write(descriptor, data) :]

    return write
