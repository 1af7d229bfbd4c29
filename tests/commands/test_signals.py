"""The first signal drains, the second one does not wait for it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest

from runtime.commands.signals import until_signalled
from runtime.commands.supervision import ServiceManager


@pytest.mark.parametrize("signals", [1, 2])
async def test_a_signal_drains_and_a_second_one_ends_at_once(signals: int, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(0)
        loop = asyncio.get_running_loop()
        draining, drained = asyncio.Event(), asyncio.Event()
        manager = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "60000000"})

        async def drain() -> None:
            draining.set()
            await asyncio.sleep(0 if signals == 1 else 3600)
            drained.set()

        async with (
            until_signalled(
                drain, manager=manager, ready=lambda: asyncio.sleep(0), is_well=lambda: True
            ) as until,
            asyncio.timeout(20),
        ):
            running = asyncio.create_task(until(asyncio.sleep(3600)))
            assert {await loop.sock_recv(sock, 64) for _ in range(2)} == {b"READY=1", b"WATCHDOG=1"}
            os.kill(os.getpid(), signal.SIGTERM)
            assert await loop.sock_recv(sock, 64) == b"STOPPING=1"
            await draining.wait()
            if signals == 2:
                os.kill(os.getpid(), signal.SIGINT)
            await asyncio.wait({running})
        assert drained.is_set() is (signals == 1)


async def test_a_hang_up_reloads(tmp_path: Path) -> None:
    reloaded = asyncio.Event()

    async def reload() -> None:
        reloaded.set()

    async with (
        until_signalled(
            lambda: asyncio.sleep(0),
            reload,
            manager=ServiceManager({}),
            ready=lambda: asyncio.sleep(0),
            is_well=lambda: True,
        ) as until,
        asyncio.timeout(20),
    ):
        running = asyncio.create_task(until(asyncio.sleep(3600)))
        await asyncio.sleep(0)
        os.kill(os.getpid(), signal.SIGHUP)
        await reloaded.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait({running})
