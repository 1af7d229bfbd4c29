"""What can be seen of a running fleet from outside: sockets that listen, and what a visitor is told. I/O."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
from pathlib import Path

from tests.localfleet.processes import MemberProcess
from tests.localfleet.provision import TUNNEL_NAME
from tests.tunnel.rig import client_hello, visitor_tls

_LISTEN = "0A"  # state in /proc/net/tcp
_PATHS = ("/readyz", "/", "/status", "/metrics", "/healthz", "/who", "/.well-known/tunnel-evidence")


def processes(member: MemberProcess) -> list[int]:
    """The member's processes: it leads a group of its own."""
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int((path / "stat").read_text().rpartition(")")[2].split()[2]) == member.pid:
                found.append(int(path.name))
    return found


def listening(member: MemberProcess) -> set[tuple[str, str, int]]:
    """Every (protocol, address, port) on which one of its processes takes what comes from outside."""
    inodes: set[str] = set()
    for pid in processes(member):
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            with contextlib.suppress(OSError):
                inodes.add(str(link.readlink()).removeprefix("socket:[").rstrip("]"))
    found: set[tuple[str, str, int]] = set()
    for protocol in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{protocol}").read_text().splitlines()[1:]:
            fields = line.split()
            unconnected = fields[3] == _LISTEN if protocol.startswith("tcp") else fields[2].endswith(":0000")
            if unconnected and fields[9] in inodes:
                address, _, port = fields[1].partition(":")
                found.add((protocol, _address(address), int(port, 16)))
    return found


def _address(text: str) -> str:
    words = [bytes.fromhex(text[i : i + 8])[::-1] for i in range(0, len(text), 8)]
    return str(ipaddress.ip_address(b"".join(words)))


async def seen(address: str, port: int) -> dict[str, bytes]:
    """Everything that a server itself tells a visitor, dates and fresh evidence aside."""
    told: dict[str, bytes] = {}
    for path in _PATHS:
        reader, writer = await asyncio.open_connection(
            address, port, ssl=visitor_tls(), server_hostname=TUNNEL_NAME
        )
        tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
        told["certificate"] = tls.getpeercert(binary_form=True) or b""
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {TUNNEL_NAME}\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read(-1)
        writer.transport.abort()
        told[path] = b"\r\n".join(line for line in answer.split(b"\r\n") if not line.startswith(b"Date:"))
    for what, sent in (("unknown", client_hello("nobody.example")), ("plain", b"GET / HTTP/1.1\r\n\r\n")):
        reader, writer = await asyncio.open_connection(address, port)
        writer.write(sent)
        with contextlib.suppress(ConnectionError):
            told[what] = await reader.read(-1)
        writer.transport.abort()
    return told
