"""Start, ask, kill and end the processes of a local fleet; nothing is left behind. I/O."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp

PROJECT = Path(__file__).resolve().parents[2]
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class MemberProcess:
    """One member, in a process group of its own, with its log in a file."""

    def __init__(self, name: str, arguments: list[str], admin: str, log: Path) -> None:
        self.name, self.admin, self.log = name, admin, log
        self._arguments = arguments
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """The control process."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start it; its listeners come later."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *self._arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    async def status(self) -> dict[str, Any] | None:
        """Return what its admin listener says, None while it does not answer."""
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session,
                session.get(f"http://{self.admin}/status") as response,
            ):
                return dict(await response.json())
        return None

    async def wait_for(self, condition: Any, deadline_s: float, what: str) -> dict[str, Any]:
        """Return the first status that meets `condition`; a process that ends is told with its log."""
        loop = asyncio.get_running_loop()
        end = loop.time() + deadline_s
        while loop.time() < end:
            if self._process is not None and self._process.returncode is not None:
                raise RuntimeError(f"{self.name} ended with {self._process.returncode}:\n{self.tail()}")
            status = await self.status()
            if status is not None and condition(status):
                return status
            await asyncio.sleep(0.05)
        raise RuntimeError(f"{self.name}: no {what} within {deadline_s:g} s:\n{self.tail()}")

    async def kill(self) -> None:
        """kill -9 of the control process alone: its workers must follow by themselves."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def terminate(self, deadline_s: float) -> None:
        """SIGTERM once, and wait until it has drained. Raises: RuntimeError when it takes longer."""
        assert self._process is not None
        self._process.terminate()
        try:
            async with asyncio.timeout(deadline_s):
                status = await self._process.wait()
        except TimeoutError as error:
            raise RuntimeError(f"{self.name} did not end within {deadline_s:g} s:\n{self.tail()}") from error
        if status:
            raise RuntimeError(f"{self.name} ended with {status}:\n{self.tail()}")

    async def stop(self, deadline_s: float = 5.0) -> None:
        """Ask it to end, and make sure of it."""
        if self._process is None:
            return
        if self._process.returncode is None:
            for number in (signal.SIGTERM, signal.SIGTERM):  # the second one skips the drain
                with contextlib.suppress(ProcessLookupError):
                    self._process.send_signal(number)
                await asyncio.sleep(0.1)
            try:
                async with asyncio.timeout(deadline_s):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def tail(self, lines: int = 12) -> str:
        """Return the end of its log."""
        text = self.log.read_text("utf-8", "replace") if self.log.exists() else ""
        return "\n".join("    " + line for line in text.splitlines()[-lines:])


async def ask(*arguments: str) -> tuple[int, str, str]:
    """Run this Python with these arguments to its end; returns its status, its answer and its story.

    Whoever is cancelled meanwhile leaves nothing running.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments,
        cwd=PROJECT, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        start_new_session=True, preexec_fn=die_with_parent,
    )  # fmt: skip
    try:
        answer, story = await process.communicate()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.communicate()  # and close its pipes
    return process.returncode or 0, answer.decode(), story.decode()


def die_with_parent() -> None:
    """Ask the kernel to end this process with its parent; for `preexec_fn`."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
