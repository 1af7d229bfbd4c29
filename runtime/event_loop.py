"""Which event loop members and workers run on: uvloop where it is installed. I/O (an import)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


def factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's factory, or None (the standard loop) where it is not installed."""
    try:
        import uvloop  # optional: the extra `speed`
    except ImportError:
        return None
    return uvloop.new_event_loop
