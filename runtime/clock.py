"""The only reader of the wall clock: never earlier than what somebody trusted has signed. I/O.

The host of a confidential VM sets its clock, so a clock turned back would bring expired documents
and revoked certificates to life (docs/threat-model.md). Going back below the build time, or below a
time in a signature that was verified, is impossible here; going forward only makes things expire.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class TrustedClock:
    """Unix time that is at least the floor, and the floor only rises."""

    def __init__(self, build_time: int, *, wall: Callable[[], float] = time.time) -> None:
        """Start at `build_time` (Unix seconds): this program cannot run before it was built."""
        self._floor = build_time
        self._wall = wall

    def now(self) -> int:
        """Return Unix seconds: the later of the machine's clock and the floor."""
        return max(int(self._wall()), self._floor)

    def raise_floor(self, seconds: int) -> None:
        """Learn a time that is past: a document's issue time, or a signed time of an endorser.

        Call it only after the signature over that time has been verified. An earlier time than the
        floor changes nothing.
        """
        self._floor = max(self._floor, seconds)

    def monotonic(self) -> float:
        """Return seconds for durations and deadlines; the host cannot turn these back."""
        return time.monotonic()
