"""A deadline that says which limit it was. I/O (loop timers only)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from runtime.errors import PeerError


@contextlib.asynccontextmanager
async def deadline(seconds: float, code: str, what: str) -> AsyncGenerator[None, None]:
    """Give what is inside so many seconds. Raises: PeerError(code) when it takes longer."""
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError as error:
        if not limit.expired():  # the kernel's, from inside
            raise
        raise PeerError(code, f"{what} within {seconds:g} s") from error
