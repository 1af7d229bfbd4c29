"""A worker's listeners for visitors: bound from the start, listening only while a session can serve. I/O.

A browser tries the next address after a refused connection and after nothing else, so a server that can
serve nobody has to refuse (docs/decisions/0003-listen-only-while-serving.md). A bound socket that does
not listen refuses, and holds the port against a mistake in the settings.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import socket
import struct
from collections.abc import Callable, Sequence
from typing import TypeAlias, cast

from runtime.errors import TunnelError, UnreachableError

Address: TypeAlias = tuple[str, int]

BACKLOG = 1024
LET_IN_S = 0.5  # what connections that are half made get: a round trip over a phone network
_SO_ATTACH_FILTER = 26  # asm-generic/socket.h
# Classic BPF over the TCP header: a SYN that is no answer is dropped, everything else passes.
_NO_NEW_SYN = b"".join(
    struct.pack("HBBI", *line)
    for line in (
        (0x30, 0, 0, 13),  # load the byte of flags
        (0x54, 0, 0, 0x12),  # and SYN|ACK
        (0x15, 0, 1, 0x02),  # SYN alone?
        (0x06, 0, 0, 0),  # drop
        (0x06, 0, 0, 0xFFFF),  # pass
    )
)


def bind(address: Address, *, shared: bool) -> socket.socket:
    """Bind one address; `shared` by all workers (SO_REUSEPORT) or by none. Raises UnreachableError."""
    host, port = address
    # Named, because event loops set TCP_NODELAY on accepted sockets only where the protocol is: without it
    # a frame waits up to 40 ms for the peer's delayed acknowledgement.
    sock = socket.socket(
        socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP
    )
    try:
        sock.settimeout(0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise UnreachableError(f"cannot listen on {host} port {port}: {error.strerror}") from error
    return sock


def refuse_new(sock: socket.socket) -> None:
    """Begin no new connection on a listening socket; those half made or waiting to be accepted go on.

    A dropped SYN is sent again after a second and meets a closed port then, which is a refusal: browsers go
    to the next address. Closing at once would reset those that wait, after they had seen a connection.
    """
    program = ctypes.create_string_buffer(_NO_NEW_SYN, len(_NO_NEW_SYN))
    fprog = struct.pack("HL", len(_NO_NEW_SYN) // 8, ctypes.addressof(program))
    with contextlib.suppress(OSError):  # a kernel without it: then they are reset
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, fprog)


class Doors:
    """All visitors' listeners of one worker, opened and shut together."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        visitor: Callable[[], asyncio.Protocol],
        failed: Callable[[TunnelError], None],
    ) -> None:
        self._loop, self._visitor, self._failed = loop, visitor, failed
        self._addresses: list[Address] = []
        self._bound: list[socket.socket] = []  # while shut
        self._servers: list[asyncio.Server] = []  # while open
        self._listening: list[socket.socket] = []  # theirs
        self._wanted = self._closed = False
        self._moving: asyncio.Task[None] | None = None

    def bind(self, addresses: Sequence[Address]) -> tuple[int, ...]:
        """Take the addresses without listening; returns their ports. Raises UnreachableError."""
        for address in addresses:
            sock = bind(address, shared=True)
            self._bound.append(sock)
            self._addresses.append((address[0], cast("int", sock.getsockname()[1])))
        return tuple(port for _, port in self._addresses)

    def set_open(self, wanted: bool) -> None:  # noqa: FBT001 - a state, handed over as a callback's only argument
        """Listen, or refuse, from the next turn of the loop on."""
        self._wanted = wanted
        if self._moving is None and not self._closed:
            self._moving = self._loop.create_task(self._move())

    async def drain(self) -> None:
        """Let in whoever is at the door already, then close for good."""
        self._closed = True
        for sock in self._listening:
            refuse_new(sock)
        if self._listening:
            await asyncio.sleep(LET_IN_S)
        self._let_go()

    def close(self) -> None:
        """Let go of every address now; nothing opens them again."""
        self._closed = True
        self._let_go()

    async def _move(self) -> None:
        try:
            while not self._closed and self._wanted is not bool(self._servers):
                if self._wanted:
                    await self._open()
                else:
                    self._let_go()
                    self._bound = [bind(address, shared=True) for address in self._addresses]
        except TunnelError as error:
            self._failed(error)
        finally:
            self._moving = None
            if self._closed:  # while the listeners were being opened
                self._let_go()

    async def _open(self) -> None:
        bound, self._bound = self._bound, []
        for sock in bound:
            self._listening.append(sock)
            self._servers.append(await self._loop.create_server(self._visitor, sock=sock, backlog=BACKLOG))

    def _let_go(self) -> None:
        for server in self._servers:
            server.close()
        for sock in self._bound:
            sock.close()
        self._servers, self._bound, self._listening = [], [], []
