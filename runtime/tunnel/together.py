"""Run several coroutines that stand or fall together. Pure asyncio, no I/O of its own.

Not a TaskGroup: what fails comes out as it is, not inside a group, and the task that waits is never
marked as being cancelled, which in Python before 3.11.4 breaks the next timeout of the same task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def run_together(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run until the first one ends; end the others; raise what the first one raised, if anything.

    When this is cancelled, all of them are, and have ended before it returns.
    """
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:  # in the order given, so that two that fail at once are told the same way each time
        if task in done and not task.cancelled() and (error := task.exception()) is not None:
            raise error
