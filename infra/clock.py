"""The wall clock of the owner's own machine, which dates documents; no member's clock is read here. I/O."""

from __future__ import annotations

import time


def now() -> float:
    """Return Unix seconds."""
    return time.time()  # noqa: TID251 - runtime.clock guards a member against its host; here is no host
