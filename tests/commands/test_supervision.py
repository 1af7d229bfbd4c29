"""What a real datagram socket hears, as systemd's would."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Generator
from pathlib import Path

import pytest

from runtime.commands.supervision import ServiceManager


@pytest.fixture(params=["path", "abstract"])
def manager(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Generator[tuple[socket.socket, str], None, None]:
    name = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(20)
        if request.param == "abstract":
            name = f"@{name}"
            sock.bind("\0" + name[1:])
        else:
            sock.bind(name)
        yield sock, name


def test_ready_and_stopping_are_heard(manager: tuple[socket.socket, str]) -> None:
    sock, name = manager
    said = ServiceManager({"NOTIFY_SOCKET": name})
    said.ready()
    said.stopping()
    assert [sock.recv(64), sock.recv(64)] == [b"READY=1", b"STOPPING=1"]


async def test_the_watchdog_is_fed_only_while_all_is_well(manager: tuple[socket.socket, str]) -> None:
    sock, name = manager
    sock.settimeout(0)
    well = [True]
    watching = asyncio.create_task(
        ServiceManager({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "30000"}).watch(lambda: well[0])
    )
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(20):
        for _ in range(3):
            assert await loop.sock_recv(sock, 64) == b"WATCHDOG=1"
    well[0] = False
    await asyncio.sleep(0.05)  # one that was on its way
    with contextlib.suppress(BlockingIOError):
        while True:
            sock.recv(64)
    await asyncio.sleep(0.1)
    with pytest.raises(BlockingIOError):
        sock.recv(64)
    well[0] = True
    async with asyncio.timeout(20):
        assert await loop.sock_recv(sock, 64) == b"WATCHDOG=1"
    watching.cancel()


@pytest.mark.parametrize(
    "environment",
    [{}, {"NOTIFY_SOCKET": "/nonexistent/notify", "WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "1000"}],
    ids=str,
)
async def test_without_a_manager_nothing_happens(environment: dict[str, str]) -> None:
    said = ServiceManager(environment)
    said.ready()
    said.stopping()
    async with asyncio.timeout(20):
        await said.watch(lambda: True)
