"""How late an event loop is: what a visitor waits before anything else happens. I/O (loop timers only)."""

from __future__ import annotations

import asyncio

EVERY_S = 0.1


class LoopLag:
    """Looks every tenth of a second, and keeps the longest delay."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due = 0.0
        self._longest_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to look."""
        self._due = self._loop.time() + EVERY_S
        self._timer = self._loop.call_at(self._due, self._look)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def take(self) -> float:
        """Return the longest delay since the last call, in seconds."""
        longest, self._longest_s = self._longest_s, 0.0
        return longest

    def _look(self) -> None:
        self._longest_s = max(self._longest_s, self._loop.time() - self._due)
        self.start()
