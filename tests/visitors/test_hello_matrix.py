"""ClientHellos over real sockets: every legal form routes, every other is answered or closed in time."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from runtime.limits import Limits
from runtime.tunnel.client_hello import DECODE_ERROR, UNRECOGNIZED_NAME, alert
from tests.tunnel.rig import client_hello, listening
from tests.visitors.programs import WAIT_S
from tests.visitors.scene import SITE, Scene, opened

pytestmark = pytest.mark.integration
HELLO_S = 0.6  # the deadline where one is waited for; 5 s by default
NEVER_S = 600.0  # and where whoever is answered was not answered by a deadline
ANSWER = b"routed"


def vector(size: int, data: bytes) -> bytes:
    return len(data).to_bytes(size, "big") + data


def extension(kind: int, data: bytes) -> bytes:
    return struct.pack(">H", kind) + vector(2, data)


def name(host: bytes, kind: int = 0) -> bytes:
    return extension(0, vector(2, bytes((kind,)) + vector(2, host)))


def message(extensions: bytes | None, *, ciphers: bytes = b"\x13\x01\x13\x02\x00\xff") -> bytes:
    body = b"\3\3" + bytes(32) + vector(1, bytes(32)) + vector(2, ciphers) + vector(1, b"\0")
    return b"\1" + vector(3, body + (b"" if extensions is None else vector(2, extensions)))


def records(data: bytes, size: int = 16384, version: bytes = b"\3\1") -> bytes:
    return b"".join(b"\x16" + version + vector(2, data[at : at + size]) for at in range(0, len(data), size))


NAME = name(SITE.encode())
GREASE = extension(0x0A0A, b"") + extension(0xFAFA, b"\0")
GREASE_CIPHERS = b"\x1a\x1a\x13\x01\x13\x02"
VERSIONS = extension(43, vector(1, b"\x2a\x2a\3\4\3\3"))
PQ_SHARE = extension(
    51, vector(2, b"\x4a\x4a\0\1\0" + b"\x11\xec" + vector(2, bytes(1216)) + b"\0\x1d" + vector(2, bytes(32)))
)
ECH_OUTER = extension(0xFE0D, b"\0" + b"\0\1\0\1" + b"\x2a" + vector(2, bytes(32)) + vector(2, bytes(239)))
ALPN = extension(16, vector(2, b"\2\x0a\x0a\2h2\x08http/1.1"))
OVERHEAD = len(records(message(NAME + extension(21, b""))))

LEGAL = {
    "what OpenSSL sends": client_hello(SITE),
    "TLS 1.2 without other extensions": records(message(NAME)),
    "record version 3.3": records(message(NAME), version=b"\3\3"),
    "upper case name": records(message(name(SITE.upper().encode()))),
    "GREASE everywhere": records(message(GREASE + ALPN + NAME + VERSIONS, ciphers=GREASE_CIPHERS)),
    "post-quantum key share, two segments": records(message(NAME + ALPN + VERSIONS + PQ_SHARE)),
    "ECH: the outer name routes": records(message(NAME + ECH_OUTER + VERSIONS + PQ_SHARE)),
    "16 KiB exactly": records(message(NAME + extension(21, bytes(16384 - OVERHEAD)))),
    "records of 1 byte": records(message(NAME), 1),
    "records of 3 bytes, PQ": records(message(NAME + PQ_SHARE), 3),
    "records of 100 bytes, PQ": records(message(NAME + PQ_SHARE), 100),
    "name behind 12 KiB": records(message(extension(21, bytes(12_000)) + NAME)),
    "early data behind it": records(message(NAME)) + b"\x17\3\3" + vector(2, bytes(500)),
}
ILLEGAL = {  # and what answers it, at once
    "no name": (client_hello(None), alert(UNRECOGNIZED_NAME)),
    "no extensions": (records(message(None)), alert(UNRECOGNIZED_NAME)),
    "another name": (client_hello("other.example"), alert(UNRECOGNIZED_NAME)),
    "a parent's name": (client_hello("example"), alert(UNRECOGNIZED_NAME)),
    "an address as the name": (records(message(name(b"127.0.0.1"))), alert(DECODE_ERROR)),
    "name with a final dot": (records(message(name(SITE.encode() + b"."))), alert(DECODE_ERROR)),
    "name with NUL": (records(message(name(SITE.encode() + b"\0"))), alert(DECODE_ERROR)),
    "name of another type": (records(message(name(SITE.encode(), kind=1))), alert(DECODE_ERROR)),
    "empty name": (records(message(name(b""))), alert(DECODE_ERROR)),
    "the name twice": (records(message(NAME + NAME)), alert(DECODE_ERROR)),
    "odd ciphers": (records(message(NAME, ciphers=b"\x13\x01\0")), alert(DECODE_ERROR)),
    "17 KiB": (records(message(NAME + extension(21, bytes(17_000)))), alert(DECODE_ERROR)),
    "16 KiB and a byte": (
        records(message(NAME + extension(21, bytes(16385 - OVERHEAD)))),
        alert(DECODE_ERROR),
    ),
    "record of 0 bytes": (b"\x16\3\1\0\0" + records(message(NAME)), alert(DECODE_ERROR)),
    "record of 65535 bytes": (b"\x16\3\1\xff\xff", alert(DECODE_ERROR)),
    "record version 2.0": (records(message(NAME), version=b"\2\0"), alert(DECODE_ERROR)),
    "another record in between": (
        records(message(NAME), 60)[:65] + b"\x17\3\3\0\1\0",
        alert(DECODE_ERROR),
    ),
    "an alert in between": (
        records(message(NAME), 60)[:65] + b"\x15\3\3\0\2\1\0",
        alert(DECODE_ERROR),
    ),
    "ServerHello": (records(b"\2" + vector(3, bytes(38))), alert(DECODE_ERROR)),
    "application data first": (b"\x17\3\3" + vector(2, bytes(40)), alert(DECODE_ERROR)),
    "SSLv2 hello": (b"\x80\x2e\1\3\1\0\x15\0\0\0\x10" + bytes(37), alert(DECODE_ERROR)),
    "zeros": (bytes(100), alert(DECODE_ERROR)),
    "SSH": (b"SSH-2.0-OpenSSH_9.2\r\n", alert(DECODE_ERROR)),
    "bytes that mean nothing": (bytes(range(200, 256)) * 4, alert(DECODE_ERROR)),
}
IN_TIME: dict[str, bytes] = {  # closed at the deadline, not before and not much later
    "nothing at all": b"",
    "one byte": b"\x16",
    "all but one byte": client_hello(SITE)[:-1],
    "half a record header": b"\x16\3\1",
    "an SSLv2 length": b"\x80\x2e",
    "a letter": b"G",
}


@pytest.fixture
async def routed(tmp_path: Path) -> AsyncGenerator[tuple[Scene, list[bytes]]]:
    """A site whose origin keeps what it was sent and says so; no deadline closes anything here."""
    async with serving(tmp_path, NEVER_S) as made:
        yield made


@pytest.fixture
async def hasty(tmp_path: Path) -> AsyncGenerator[tuple[Scene, list[bytes]]]:
    """The same, and a hello has to be there in time."""
    async with serving(tmp_path, HELLO_S) as made:
        yield made


@contextlib.asynccontextmanager
async def serving(folder: Path, hello_s: float) -> AsyncGenerator[tuple[Scene, list[bytes]]]:
    got: list[bytes] = []

    async def origin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.read(-1))
        writer.write(ANSWER)
        writer.close()

    async with opened(folder, limits=Limits(hello_s=hello_s)) as scene, listening(origin) as port:
        await scene.publish({SITE: scene.origin("tls", port)})
        yield scene, got


async def converse(scene: Scene, pieces: list[bytes], *, end: bool, pause_s: float = 0) -> bytes:
    """Send each piece as a segment of its own and return everything that comes back."""
    reader, writer = await asyncio.open_connection(scene.address, scene.port)
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    answer = b""
    with contextlib.suppress(ConnectionError):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)  # even 0 lets the piece leave alone
        if end:
            writer.write_eof()
    try:
        async with asyncio.timeout(WAIT_S):
            with contextlib.suppress(ConnectionError):
                while data := await reader.read(65536):
                    answer += data
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    return answer


@pytest.mark.parametrize(
    "cut", ["whole", "1 byte per segment", "1400 bytes per segment", "after the record header"]
)
@pytest.mark.parametrize("form", LEGAL)
async def test_a_legal_hello_routes_untouched(routed: tuple[Scene, list[bytes]], form: str, cut: str) -> None:
    scene, got = routed
    hello = LEGAL[form]
    size = {"whole": len(hello), "1 byte per segment": 1, "1400 bytes per segment": 1400}.get(cut)
    if size == 1 and len(hello) > 3000:
        hello = hello[:-1500] + hello[-1500:]  # all of it still, with the first part in one segment
        pieces = [hello[:-1500], *(hello[at : at + 1] for at in range(len(hello) - 1500, len(hello)))]
    elif size is None:
        pieces = [hello[:5], hello[5:]]
    else:
        pieces = [hello[at : at + size] for at in range(0, len(hello), size)]
    assert await converse(scene, pieces, end=True) == ANSWER
    assert got == [hello]


@pytest.mark.parametrize("cut", ["whole", "1 byte per segment"])
@pytest.mark.parametrize("form", ILLEGAL)
async def test_an_illegal_hello_is_answered_or_closed(
    routed: tuple[Scene, list[bytes]], form: str, cut: str
) -> None:
    scene, got = routed
    hello, wanted = ILLEGAL[form]
    pieces = (
        [hello] if cut == "whole" or len(hello) > 3000 else [hello[at : at + 1] for at in range(len(hello))]
    )
    assert await converse(scene, pieces, end=False) == wanted
    assert got == []


@pytest.mark.parametrize("form", IN_TIME)
async def test_a_hello_that_never_ends_is_closed_at_the_deadline(
    hasty: tuple[Scene, list[bytes]], form: str
) -> None:
    scene, got = hasty
    began = time.monotonic()
    assert await converse(scene, [IN_TIME[form]], end=False) == b""
    assert time.monotonic() - began > HELLO_S - 0.1
    assert got == []


async def test_a_hello_that_trickles_is_closed_at_the_same_deadline(
    hasty: tuple[Scene, list[bytes]],
) -> None:
    """Bytes that arrive do not extend it: whoever sends one at a time is gone long before the last one."""
    scene, got = hasty
    began = time.monotonic()
    pieces = [bytes((byte,)) for byte in client_hello(SITE)[:450]]
    assert await converse(scene, pieces, end=False, pause_s=0.1) == b""
    assert time.monotonic() - began < len(pieces) * 0.1
    assert got == []


async def test_a_hello_that_stops_halfway_is_closed_with_the_visitor(
    routed: tuple[Scene, list[bytes]],
) -> None:
    scene, got = routed
    assert await converse(scene, [client_hello(SITE)[:300]], end=True) == b""
    assert got == []


@pytest.mark.parametrize(
    "request_line", [b"GET / HTTP/1.1\r\nHost: app.example\r\n\r\n", b"OPTIONS * HTTP/1.0\r\n\r\n"]
)
async def test_plain_http_is_told_that_this_is_a_tls_port(
    routed: tuple[Scene, list[bytes]], request_line: bytes
) -> None:
    scene, got = routed
    answer = await converse(scene, [request_line], end=False)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert got == []


async def test_openssl_reads_our_refusal_as_what_it_is(routed: tuple[Scene, list[bytes]]) -> None:
    scene, _ = routed
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        await asyncio.open_connection(
            scene.address, scene.port, ssl=scene.trust(), server_hostname="other.example"
        )
