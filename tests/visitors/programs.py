"""Find and run visitors' programs. Absent is a skip with its reason; under CI=true it is a failure. I/O."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass

import pytest

WAIT_S = 30.0  # for whatever takes milliseconds on a quiet machine: no finding, only an end to waiting
# Below every port that the kernel gives out by itself (ip_local_port_range): nobody takes one in between.
_OWN_PORTS = range(20_000, 32_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What a program left behind."""

    status: int
    stdout: bytes
    stderr: str


def state(finding: str) -> None:
    """Say what was measured; `pytest -s` shows it."""
    sys.stderr.write(f"\n  {finding}")


def absent(what: str) -> None:
    """Skip the test, or fail it where everything has to be there."""
    message = f"{what} is not on this machine (tests/visitors/install)"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def find(*names: str) -> str:
    """Return the path of the first of these programs that is installed."""
    for name in names:
        path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/sbin")
        if path:
            return path
    absent(" or ".join(names))
    raise AssertionError


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port for a program that cannot be told to choose one itself and say which."""
    for port in random.sample(_OWN_PORTS, 200):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as trial, contextlib.suppress(OSError):
            trial.bind((host, port))
            return port
    raise AssertionError(f"no port is free on {host}")


async def accepting(host: str, port: int, *, ended: Callable[[], bool] = lambda: False) -> None:
    """Wait until somebody listens there; `ended` says that nobody ever will."""
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                _, writer = await asyncio.open_connection(host, port)
            except ConnectionRefusedError:
                assert not ended(), f"what should listen on {host} port {port} has ended"
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return


async def run(
    *command: str,
    deadline_s: float = 2 * WAIT_S,
    given: bytes = b"",
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Run a program to its end; one that is still there at the deadline is killed and fails the test."""
    async with started(*command, environment=environment) as process:
        try:
            async with asyncio.timeout(deadline_s):
                stdout, stderr = await process.communicate(given)
        except TimeoutError:
            pytest.fail(f"{command[0]} is still running after {deadline_s:g} s")
    assert process.returncode is not None
    return Ended(status=process.returncode, stdout=stdout, stderr=stderr.decode(errors="replace"))


@contextlib.asynccontextmanager
async def started(
    *command: str, environment: Mapping[str, str] | None = None
) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Run a program in a process group of its own, all of which is gone afterwards."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **(environment or {})},
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        # Read to the end: pipes of grandchildren that are still open would be warnings later.
        with contextlib.suppress(OSError, ValueError):
            await process.communicate()
