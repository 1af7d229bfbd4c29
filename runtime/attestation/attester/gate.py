"""One collection at a time, none of them without end. I/O: threads.

TEEs and TPMs answer one caller in tenths of a second to seconds, a host says EBUSY to the second: sessions
and the public endpoint wait here instead. What they call blocks, so it runs in a thread; a caller that is
cancelled leaves the thread behind, and the next one waits until that thread has left the TPM.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar, cast

from runtime.errors import UnreachableError

DEADLINE_S = 11.0  # waiting included; with the endorsements' 3 s under the limit `collect_s`
MOST_WAITING = 32  # evidence takes a tenth of a second to four: the last of more would wait in vain

T = TypeVar("T")


class Turn:
    """The right to use the machine's TEE and TPM."""

    def __init__(self) -> None:
        self.running: asyncio.Future[object] | None = None

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Run what blocks, and return what it returns."""
        running = asyncio.get_running_loop().run_in_executor(None, work)
        self.running = cast("asyncio.Future[object]", running)
        return await asyncio.shield(running)


class Gate:
    """Lets one through at a time."""

    def __init__(self, *, deadline_s: float = DEADLINE_S, most_waiting: int = MOST_WAITING) -> None:
        self.deadline_s, self.most_waiting = deadline_s, most_waiting
        self.waiting = 0
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[Turn]:
        """Wait for our turn; what is inside the `with` has to end before the deadline as well.

        Raises: UnreachableError (too many wait, or the deadline passed).
        """
        if self.waiting >= self.most_waiting:
            message = f"{self.waiting} requests for evidence of this machine wait already: try again later"
            raise UnreachableError(message)
        self.waiting += 1
        deadline = asyncio.timeout(self.deadline_s)
        try:
            async with deadline:
                await self._lock.acquire()
                turn = Turn()
                try:
                    yield turn
                finally:
                    self._leave(turn)
        except TimeoutError as error:
            if not deadline.expired():
                raise
            message = (
                f"this machine made no evidence within {self.deadline_s:g} s: "
                "its TEE or TPM is slow or busy; look at the kernel's log"
            )
            raise UnreachableError(message) from error
        finally:
            self.waiting -= 1

    def _leave(self, turn: Turn) -> None:
        if turn.running is None or turn.running.done():
            self._lock.release()
        else:
            turn.running.add_done_callback(self._left_behind)

    def _left_behind(self, running: asyncio.Future[object]) -> None:
        if not running.cancelled():
            running.exception()  # nobody waits for it any more
        self._lock.release()
