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

    def __init__(
        self,
        build_time: int,
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start at `build_time` (Unix seconds): this program cannot run before it was built."""
        self._wall, self._monotonic = wall, monotonic
        self._floor, self._floor_at = float(build_time), monotonic()

    def now(self) -> int:
        """Return Unix seconds: the later of the machine's clock and the floor, which goes on by itself.

        The wall clock does not raise the floor: a clock that was ahead at boot may be set right.
        """
        return int(max(self._wall(), self._floor + self._monotonic() - self._floor_at))

    def raise_floor(self, seconds: int) -> None:
        """Learn a time that is past: a document's issue time, or a signed time of an endorser.

        Call it only after the signature over that time has been verified. An earlier time than the
        floor changes nothing.
        """
        at = self._monotonic()
        if seconds > self._floor + at - self._floor_at:
            self._floor, self._floor_at = float(seconds), at

    def monotonic(self) -> float:
        """Return seconds for durations and deadlines; the host cannot turn these back."""
        return self._monotonic()
