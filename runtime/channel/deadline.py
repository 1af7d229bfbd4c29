"""A deadline that says which limit it was. I/O (loop timers only)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from runtime.errors import PeerError
from runtime.limits import BOUNDS, Limits


@contextlib.asynccontextmanager
async def deadline(limits: Limits, name: str, what: str) -> AsyncGenerator[None, None]:
    """Give what is inside the seconds of this limit. Raises: PeerError with its code when it takes longer."""
    seconds = float(getattr(limits, name))
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError as error:
        if not limit.expired():  # the kernel's, from inside
            raise
        raise PeerError(BOUNDS[name].code, f"{what} within {seconds:g} s ({name})") from error
