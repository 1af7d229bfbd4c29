"""Visitors who read nothing: each holds a bounded piece of memory, and nobody else waits for them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from pathlib import Path

from tests.tunnel.conftest import Run
from tests.tunnel.rig import HOST, Rig, visitor_tls

STALLED = 16
MOST = (
    2 * 1024 * 1024
)  # bytes per stalled stream: the promise, here with both ends and the origin in one process


def resident() -> int:
    """Bytes of this process in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def endless_or_echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while (line := await reader.readline()) == b"small\n":
            writer.write(b"answer\n")
        while line == b"endless\n":
            writer.write(bytes(65536))
            await writer.drain()
    writer.close()


async def steady() -> int:
    """Wait until memory grows no more; returns how much there is."""
    last, same = resident(), 0
    while same < 10:
        await asyncio.sleep(0.1)
        now = resident()
        same, last = (same + 1, last) if now - last < 256 * 1024 else (0, now)
    return last


def test_stalled_downloads_hold_little_and_others_are_served(run: Run) -> None:
    async def main() -> None:
        async with Rig() as rig:
            await rig.publish(endless_or_echo, kind="http")
            reader, writer = await rig.visit()
            before = await steady()
            stalled: list[asyncio.StreamWriter] = []
            for _ in range(STALLED):
                sock = socket.socket()
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                sock.settimeout(0)
                await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", rig.visitor_port))
                _, lazy = await asyncio.open_connection(sock=sock, ssl=visitor_tls(), server_hostname=HOST)
                lazy.write(b"endless\n")
                await lazy.drain()
                lazy.transport.pause_reading()  # type: ignore[attr-defined]
                stalled.append(lazy)
            after = await steady()
            assert (after - before) / STALLED < MOST
            async with asyncio.timeout(20):
                for _ in range(50):
                    writer.write(b"small\n")
                    assert await reader.readexactly(7) == b"answer\n"
            for lazy in stalled:
                lazy.transport.abort()

    run(main())
