"""Tell the service manager how we are: READY, STOPPING, and the watchdog. I/O (sd_notify(3)).

The watchdog is fed by the event loop, and only while the workers answer: a member that is frozen, or whose
workers are, is killed and started again, for nobody fails over from a silent server.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Mapping

log = logging.getLogger("tunnel")


class ServiceManager:
    """The manager's datagram socket; without one, everything here does nothing."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """`environment` has NOTIFY_SOCKET (a path, or @ and an abstract name) and WATCHDOG_USEC."""
        path = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path
        limit = environment.get("WATCHDOG_USEC", "")
        self.watchdog_s = int(limit) / 1e6 if limit.isdigit() else 0.0

    def ready(self) -> None:
        """Say that we serve."""
        self._say(b"READY=1")

    def stopping(self) -> None:
        """Say that we drain."""
        self._say(b"STOPPING=1")

    async def watch(self, is_well: Callable[[], bool]) -> None:
        """Feed the watchdog three times in its limit, while `is_well`; until cancelled."""
        if not self._address or not self.watchdog_s:
            return
        well = True
        while True:
            before, well = well, is_well()
            if well:
                self._say(b"WATCHDOG=1")
            elif before:
                log.error("the watchdog is not fed: a worker does not answer")
            await asyncio.sleep(self.watchdog_s / 3)

    def _say(self, state: bytes) -> None:
        if self._address:
            # A manager that does not listen must not end what it manages.
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.settimeout(0)
                sock.sendto(state, self._address)
