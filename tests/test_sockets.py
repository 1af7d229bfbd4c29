"""Options are read back from the kernel."""

from __future__ import annotations

import asyncio
import socket

from runtime.sockets import tune


async def test_a_tcp_socket_ends_with_its_peer() -> None:
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        tune(writer.transport, dead_s=15)
        sock = writer.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 15_000
        idle, between, count = (
            sock.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        assert idle + between * count <= 20
        writer.close()


async def test_what_is_no_tcp_is_left_alone() -> None:
    left, right = socket.socketpair()
    _, writer = await asyncio.open_connection(sock=left)
    tune(writer.transport, dead_s=15)
    writer.close()
    right.close()


def test_a_transport_without_a_socket_is_left_alone() -> None:
    tune(asyncio.Transport(), dead_s=15)
