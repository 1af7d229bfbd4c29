"""A small real DNS server on UDP and TCP, whose records can be replaced while it runs. I/O.

It takes the part of the fleet's zone on one machine: tunnel clients and visitors ask it. Run it on
its own with `python -m tests.localfleet.dns --listen 127.0.0.1:5353 --records FILE`; the file
(`[{name, type, ttl, values}]`) is read again when its content changes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from runtime.errors import DocumentError
from tests.localfleet.zone import Zone

IDLE_S = 10  # seconds a TCP connection may be silent
POLL_S = 0.2  # seconds between looks at the records file


class NameServer:
    """Serves one `Zone` on one address. Use it as an async context manager, or start and close it."""

    def __init__(
        self, records: Sequence[Mapping[str, Any]] = (), *, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        """Port 0 takes a free one, the same for UDP and TCP. Raises: DocumentError."""
        self._zone = Zone(records)
        self._wanted = (host, port)
        self._tcp: asyncio.Server | None = None
        self._udp: asyncio.DatagramTransport | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self.queries = 0

    @property
    def address(self) -> tuple[str, int]:
        """The address that answers; before `start`, the wanted one."""
        return self._wanted

    def set_records(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Replace every record; the next query sees it. Raises: DocumentError, and keeps the old ones."""
        self._zone.set_records(records)

    async def start(self) -> tuple[str, int]:
        """Listen on UDP and TCP. Raises: OSError when the port is taken."""
        host, port = self._wanted
        for left in reversed(range(20 if port == 0 else 1)):
            tcp = await asyncio.start_server(self._serve_tcp, host, port)
            bound = int(tcp.sockets[0].getsockname()[1])
            try:
                udp, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                    lambda: _Datagrams(self), local_addr=(host, bound)
                )
            except OSError:
                tcp.close()
                await tcp.wait_closed()
                if not left:
                    raise
                continue
            self._tcp, self._udp, self._wanted = tcp, udp, (host, bound)
            break
        return self._wanted

    async def close(self) -> None:
        """Stop listening and cut TCP connections."""
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()
            for writer in list(self._connections):
                writer.transport.abort()
            await self._tcp.wait_closed()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def answer(self, query: bytes, *, tcp: bool) -> bytes | None:
        """Answer one query's wire bytes."""
        self.queries += 1
        return self._zone.answer(query, tcp=tcp)

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while True:
                async with asyncio.timeout(IDLE_S):
                    size = int.from_bytes(await reader.readexactly(2))
                    query = await reader.readexactly(size)
                reply = self.answer(query, tcp=True)
                if reply is None:
                    break
                writer.write(len(reply).to_bytes(2) + reply)
                await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            pass  # the asker is done, or never was serious
        finally:
            self._connections.discard(writer)
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # typeshed declares the base transport
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        reply = self._server.answer(data, tcp=False)
        if reply is not None and self._transport is not None:
            self._transport.sendto(reply, addr)


async def follow(server: NameServer, path: Path, *, seen: bytes = b"") -> None:
    """Hand the records in `path` to the server whenever its content changes; never returns."""
    while True:
        try:
            data = await asyncio.to_thread(path.read_bytes)
            if data != seen:
                server.set_records(json.loads(data))
                seen = data
                print(f"{path}: records read", file=sys.stderr)
        except (OSError, ValueError, DocumentError) as error:
            # A half-written file is read again at the next look; the old records stay meanwhile.
            print(f"{path}: {error}", file=sys.stderr)
        await asyncio.sleep(POLL_S)


async def _run(host: str, port: int, path: Path) -> None:
    async with NameServer(host=host, port=port) as server:
        print(f"dns on {server.address[0]}:{server.address[1]} (udp, tcp)", flush=True)
        await follow(server, path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.localfleet.dns", description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:5353", metavar="ADDRESS:PORT")
    parser.add_argument("--records", required=True, type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    host, _, port = options.listen.rpartition(":")
    try:
        asyncio.run(_run(host.strip("[]"), int(port), options.records))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
