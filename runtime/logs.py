"""One JSON object per line on standard error. I/O.

What goes in: events, codes, member names, addresses. What never does: keys, secrets, visitor bytes.
The access log has a line for each visitor, so a thread of its own writes it: whoever reads standard error
slowly must not hold up a loop that carries streams. Lines beyond what may wait are dropped, and counted.
"""

from __future__ import annotations

import json
import logging
import queue
import sys
import threading
import time
from datetime import UTC, datetime
from typing import Any, TextIO

ACCESS = "tunnel.access"
MAX_WAITING = 4096  # lines of the access log, about 2 MiB
_END_S = 1.0  # what lines that wait get to be written at the end


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
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class Aside(logging.Handler):
    """Formats and writes in a thread, which starts with the first line."""

    def __init__(self, stream: TextIO, *, most: int = MAX_WAITING) -> None:
        super().__init__()
        self.setFormatter(JsonLines())
        self._stream = stream
        self._waiting: queue.Queue[logging.LogRecord | None] = queue.Queue(most)
        self._dropped = 0
        self._thread: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a line over, or drop it; never waits."""
        record.monotonic = time.monotonic()
        if self._dropped:
            record.__dict__.setdefault("fields", {})["dropped_before"] = self._dropped
        try:
            self._waiting.put_nowait(record)
        except queue.Full:
            self._dropped += 1
            return
        self._dropped = 0
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="access log", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Write what waits, if it can be written soon."""
        if self._thread is not None:
            try:
                self._waiting.put(None, timeout=_END_S)
            except queue.Full:
                pass
            else:
                self._thread.join(_END_S)
            self._thread = None
        super().close()

    def _write(self) -> None:
        while (record := self._waiting.get()) is not None:
            try:
                self._stream.write(self.format(record) + "\n")
                self._stream.flush()
            except (OSError, ValueError):  # nobody reads any more: a log is no reason to end
                self._dropped += 1


def to_stderr(level: int = logging.INFO) -> None:
    """Send every logger's events to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    access = logging.getLogger(ACCESS)
    access.handlers[:] = [Aside(sys.stderr)]
    access.propagate = False
