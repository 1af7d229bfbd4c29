"""What every TCP socket of ours has set: no delay, and an end when its peer is gone. I/O (setsockopt)."""

from __future__ import annotations

import asyncio
import socket
from typing import cast

_PROBES = 3


def tune(transport: asyncio.BaseTransport, *, dead_s: float) -> None:
    """Let the kernel end a connection on which nothing was acknowledged for `dead_s`, idle ones too.

    Nothing happens to what is no TCP, or gone already.
    """
    sock = cast("socket.socket | None", transport.get_extra_info("socket"))
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    idle = max(1, round(dead_s / 2))
    between = max(1, round((dead_s - idle) / _PROBES))
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, between)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, round(dead_s * 1000)))
    except OSError:
        return  # the peer has gone already: the loop is about to tell
