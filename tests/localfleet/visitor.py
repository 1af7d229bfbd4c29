"""An HTTPS visitor that treats round-robin DNS as browsers do. I/O.

It asks DNS for every new connection and tries the addresses in the order of the answer; a refused
or reset connection sends it to the next address at once, a silent one never does (it waits, then
fails). A GET whose connection is lost before the first byte of the answer is sent again. It trusts
one CA file, and the certificate has to name the hostname.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import dns.asyncresolver
import dns.exception
import dns.resolver

from runtime.errors import PeerError, UnreachableError

MAX_LINE = 65_536  # bytes of one header line
MAX_BODY = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One response, and the server address it came from."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    address: str
    retried: int  # addresses or connections given up before this one answered
    reused: bool  # the connection had answered before


@dataclass(slots=True, kw_only=True)
class Counters:
    """What a visitor went through so far."""

    asked: int = 0
    answered: int = 0
    failed: int = 0
    retried: int = 0
    connections: int = 0
    by_address: Counter[str] = field(default_factory=Counter[str])


class _LostError(Exception):
    """The connection went away before the first byte of an answer."""


@dataclass(slots=True, kw_only=True)
class _Connection:
    address: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    answers: int = 0

    def abort(self) -> None:
        self.writer.transport.abort()


class Visitor:
    """One browser profile: a connection pool, a DNS resolver and one trusted CA."""

    def __init__(
        self,
        resolver: tuple[str, int],
        ca_file: Path,
        port: int,
        *,
        keep_alive: bool = True,
        timeout_s: float = 10.0,
    ) -> None:
        """With `keep_alive` off, every request goes through DNS and a connection of its own."""
        self.counters = Counters()
        self._port, self._keep_alive, self._timeout_s = port, keep_alive, timeout_s
        self._idle: dict[str, list[_Connection]] = {}
        self._tls = ssl.create_default_context(cafile=str(ca_file))
        self._tls.set_alpn_protocols(["http/1.1"])
        self._dns = dns.asyncresolver.Resolver(configure=False)
        self._dns.nameservers, self._dns.port = [resolver[0]], resolver[1]
        self._dns.lifetime = timeout_s

    async def __aenter__(self) -> Visitor:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Cut idle connections."""
        for connections in self._idle.values():
            for connection in connections:
                connection.abort()
        self._idle.clear()
        await asyncio.sleep(0)  # lets aborted transports go

    async def resolve(self, host: str) -> list[str]:
        """Return the addresses in the order DNS gave them. Raises: UnreachableError."""
        found: list[str] = []
        for kind in ("AAAA", "A"):
            try:
                answer = await self._dns.resolve(host, kind, raise_on_no_answer=False)
            except dns.resolver.NXDOMAIN as error:
                raise UnreachableError(f"{host}: no such name") from error
            except (dns.exception.DNSException, OSError) as error:
                raise UnreachableError(f"{host}: {error}") from error
            found += [str(record.address) for record in answer.rrset or ()]
        if not found:
            raise UnreachableError(f"{host}: the name has no address")
        return found

    async def get(self, host: str, path: str = "/") -> Answer:
        """GET https://host:port/path.

        Raises: UnreachableError (no address, none answered), PeerError (certificate, TLS alert, HTTP).
        """
        self.counters.asked += 1
        try:
            answer = await self._get(host, path)
        except BaseException:
            self.counters.failed += 1
            raise
        self.counters.answered += 1
        self.counters.by_address[answer.address] += 1
        return answer

    async def _get(self, host: str, path: str) -> Answer:
        retried = 0
        while self._idle.get(host):
            connection = self._idle[host].pop()
            try:
                return await self._exchange(connection, host, path, retried)
            except _LostError:
                retried += 1
                self.counters.retried += 1
        lost: list[str] = []
        for address in await self.resolve(host):
            try:
                connection = await self._connect(host, address)
                return await self._exchange(connection, host, path, retried)
            except (ConnectionError, _LostError) as error:
                lost.append(f"{address}: {type(error).__name__}")
                retried += 1
                self.counters.retried += 1
        raise UnreachableError(f"{host}: no address answered ({', '.join(lost)})")

    async def _connect(self, host: str, address: str) -> _Connection:
        self.counters.connections += 1
        try:
            async with asyncio.timeout(self._timeout_s):
                reader, writer = await asyncio.open_connection(
                    address, self._port, ssl=self._tls, server_hostname=host, limit=MAX_LINE
                )
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
            raise ConnectionResetError(str(error)) from error
        except ssl.SSLError as error:
            code = "certificate" if isinstance(error, ssl.SSLCertVerificationError) else "tls"
            raise PeerError(code, f"{address} for {host}: {error.reason}") from error
        except TimeoutError as error:
            raise UnreachableError(f"{address} for {host}: silent for {self._timeout_s:g} s") from error
        return _Connection(address=address, reader=reader, writer=writer)

    async def _exchange(self, connection: _Connection, host: str, path: str, retried: int) -> Answer:
        reused = connection.answers > 0
        try:
            async with asyncio.timeout(self._timeout_s):
                status, headers, body = await self._request(connection, host, path)
        except TimeoutError as error:
            connection.abort()
            raise UnreachableError(
                f"{connection.address} for {host}: no answer in {self._timeout_s:g} s"
            ) from error
        except BaseException:
            connection.abort()
            raise
        connection.answers += 1
        if self._keep_alive and headers.get("connection", "").lower() != "close":
            self._idle.setdefault(host, []).append(connection)
        else:
            connection.abort()
        return Answer(
            status=status,
            headers=headers,
            body=body,
            address=connection.address,
            retried=retried,
            reused=reused,
        )

    async def _request(
        self, connection: _Connection, host: str, path: str
    ) -> tuple[int, dict[str, str], bytes]:
        authority = host if self._port == 443 else f"{host}:{self._port}"
        request = f"GET {path} HTTP/1.1\r\nHost: {authority}\r\nAccept: */*\r\n"
        request += "\r\n" if self._keep_alive else "Connection: close\r\n\r\n"
        try:
            connection.writer.write(request.encode())
            await connection.writer.drain()
            first = await connection.reader.readline()
        except (ConnectionError, ssl.SSLEOFError) as error:
            raise _LostError from error
        except ssl.SSLError as error:  # TLS 1.3: a server's alert may come after our Finished
            raise PeerError("tls", f"{connection.address} for {host}: {error.reason}") from error
        if not first:
            raise _LostError
        try:
            return await _response(connection.reader, first)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, ValueError, IndexError) as error:
            raise PeerError(
                "http", f"{connection.address} for {host}: answer broken off: {error!r}"
            ) from error


async def _response(reader: asyncio.StreamReader, first: bytes) -> tuple[int, dict[str, str], bytes]:
    version, status, *_ = first.decode("latin-1").split(" ", 2)
    if version != "HTTP/1.1" or not first.endswith(b"\n"):
        raise ValueError(version)
    headers: dict[str, str] = {}
    while line := (await reader.readuntil(b"\n")).rstrip(b"\r\n"):
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return int(status), headers, await _chunked(reader)
    if "content-length" in headers:
        return int(status), headers, await reader.readexactly(min(int(headers["content-length"]), MAX_BODY))
    headers["connection"] = "close"
    return int(status), headers, await reader.read(MAX_BODY)


async def _chunked(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int((await reader.readuntil(b"\n")).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
        if len(body) > MAX_BODY:
            raise ValueError(len(body))
    while (await reader.readuntil(b"\n")).strip():
        pass  # trailers
    return bytes(body)
