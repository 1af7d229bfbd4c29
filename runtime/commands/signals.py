"""Run a member until it is asked to end: the first signal drains, a second one ends at once. I/O."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from runtime.commands.supervision import ServiceManager

log = logging.getLogger("tunnel")


@contextlib.asynccontextmanager
async def until_signalled(
    drain: Callable[[], Any],
    reload: Callable[[], Any] | None = None,
    *,
    manager: ServiceManager,
    ready: Callable[[], Awaitable[object]],
    is_well: Callable[[], bool],
) -> AsyncGenerator[Callable[[Any], Any], None]:
    """Yield a runner that ends on SIGTERM or SIGINT after `drain`, and on a second one at once.

    The service manager hears READY after `ready`, STOPPING before the drain, the watchdog while `is_well`.
    """
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    again = asyncio.Event()
    hang_up = asyncio.Event()

    def stop() -> None:
        (again if asked.is_set() else asked).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, hang_up.set)

    async def until(work: Any) -> None:
        async with asyncio.TaskGroup() as tasks:
            working = tasks.create_task(work)
            reloading = tasks.create_task(_on_hang_up(hang_up, reload))
            watching = tasks.create_task(_tell(manager, ready, is_well))
            waiting = tasks.create_task(asked.wait())
            await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if asked.is_set() and not working.done():
                log.info("draining")
                manager.stopping()
                draining = tasks.create_task(drain())
                killed = tasks.create_task(again.wait())
                await asyncio.wait({draining, killed}, return_when=asyncio.FIRST_COMPLETED)
                killed.cancel()
                draining.cancel()
            working.cancel()
            reloading.cancel()
            watching.cancel()

    try:
        yield until
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)


async def _on_hang_up(hang_up: asyncio.Event, reload: Callable[[], Any] | None) -> None:
    while True:
        await hang_up.wait()
        hang_up.clear()
        if reload is not None:
            await reload()


async def _tell(
    manager: ServiceManager, ready: Callable[[], Awaitable[object]], is_well: Callable[[], bool]
) -> None:
    await ready()
    manager.ready()
    await manager.watch(is_well)
