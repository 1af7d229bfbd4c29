"""Read a visitor's ClientHello far enough to route it, and touch none of its bytes. Pure.

TCP segments and TLS records are both reassembled: a hello may come one byte at a time, or spread
over many records (RFC 8446 §5.1). What is read is the name and the ALPN list, nothing else is
believed. With Encrypted Client Hello the name is the outer one (RFC 9849 §5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from runtime.errors import MalformedError
from runtime.tunnel.routing import normal_hostname

UNRECOGNIZED_NAME = 112  # RFC 6066 §3
DECODE_ERROR = 50  # RFC 8446 §6.2
INTERNAL_ERROR = 80

_HANDSHAKE, _CLIENT_HELLO = 22, 1
_RECORD_HEADER, _MESSAGE_HEADER = 5, 4
_MAX_RECORD = 16384  # RFC 8446 §5.1: TLSPlaintext.length
_EXT_SERVER_NAME, _EXT_ALPN, _EXT_ECH = 0, 16, 0xFE0D
_MAX_EXTENSIONS = 128  # real hellos have about 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientHello:
    """What routing needs of a hello, and every byte that was read so far."""

    sni: str | None  # normal form, see `routing.normal_hostname`
    alpn: tuple[bytes, ...]
    ech: bool  # the name may be an outer one
    raw: bytes  # all bytes fed, also those behind the hello (early data)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotTls:
    """The first byte is an ASCII letter: perhaps plain HTTP, certainly no TLS."""

    raw: bytes


Reading: TypeAlias = ClientHello | NotTls | None  # None: more bytes are needed


def alert(description: int) -> bytes:
    """Build the record of a fatal alert, 7 bytes (RFC 8446 §6)."""
    return bytes((21, 3, 3, 0, 2, 2, description))


class HelloTooLargeError(MalformedError):
    """A ClientHello that no client needs to be so long."""

    code = "hello_too_large"


class HelloReader:
    """Reassemble one ClientHello; each byte is looked at once, however the bytes arrive."""

    __slots__ = ("_max_bytes", "_message", "_position", "_raw")

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._raw = bytearray()
        self._message = bytearray()  # the handshake message, without record headers
        self._position = 0  # where the next record starts in `_raw`

    def feed(self, data: bytes) -> Reading:
        """Take the next bytes; None until the hello is complete.

        Raises:
            MalformedError: no legal ClientHello can come of this, or it exceeds `max_bytes`.
        """
        self._raw += data
        if not self._raw:
            return None
        first = self._raw[0]
        if first != _HANDSHAKE:
            return self._other_start(first)
        while self._next_record():
            hello = self._complete()
            if hello is not None:
                return hello
        if len(self._raw) > self._max_bytes:
            raise HelloTooLargeError("ClientHello", f"longer than {self._max_bytes} bytes")
        return None

    def _other_start(self, first: int) -> NotTls | None:
        if 0x41 <= first <= 0x5A or 0x61 <= first <= 0x7A:
            return NotTls(raw=bytes(self._raw))
        if first & 0x80 and len(self._raw) < 3:
            return None
        if first & 0x80 and self._raw[2] == _CLIENT_HELLO:
            raise MalformedError("ClientHello", "SSLv2 is not spoken here", offset=0)
        raise MalformedError("ClientHello", f"record type {first}, want {_HANDSHAKE}", offset=0)

    def _next_record(self) -> bool:
        start = self._position
        head = self._raw[start : start + _RECORD_HEADER]
        if head and head[0] != _HANDSHAKE:
            raise MalformedError("ClientHello", f"record type {head[0]} inside the hello", offset=start)
        if len(head) > 1 and head[1] != 3:
            raise MalformedError("ClientHello", f"record version {head[1]}.x, want 3.x", offset=start + 1)
        if len(head) < _RECORD_HEADER:
            return False
        length = head[3] << 8 | head[4]
        if not 0 < length <= _MAX_RECORD:
            raise MalformedError("ClientHello", f"record of {length} bytes", offset=start + 3)
        stop = start + _RECORD_HEADER + length
        if stop > self._max_bytes:
            raise HelloTooLargeError("ClientHello", f"longer than {self._max_bytes} bytes", offset=start)
        if len(self._raw) < stop:
            return False
        self._message += self._raw[start + _RECORD_HEADER : stop]
        self._position = stop
        return True

    def _complete(self) -> ClientHello | None:
        message = self._message
        if message[0] != _CLIENT_HELLO:
            raise MalformedError("ClientHello", f"handshake type {message[0]}, want {_CLIENT_HELLO}")
        if len(message) < _MESSAGE_HEADER:
            return None
        length = int.from_bytes(message[1:4], "big")
        if length > self._max_bytes:
            raise HelloTooLargeError("ClientHello", f"longer than {self._max_bytes} bytes")
        if len(message) < _MESSAGE_HEADER + length:
            return None
        if len(message) > _MESSAGE_HEADER + length:
            raise MalformedError("ClientHello", "bytes behind the message in its last record")
        return _read_body(bytes(message[_MESSAGE_HEADER:]), bytes(self._raw))


class _Cursor:
    """Walk over length-prefixed fields; running out of bytes is a MalformedError."""

    __slots__ = ("_data", "_position")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def take(self, size: int) -> bytes:
        piece = self._data[self._position : self._position + size]
        if len(piece) != size:
            raise MalformedError("ClientHello", f"ends inside a field of {size} bytes", offset=self._position)
        self._position += size
        return piece

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, prefix: int, *, least: int, most: int) -> bytes:
        at, length = self._position, self.number(prefix)
        if not least <= length <= most:
            raise MalformedError("ClientHello", f"field of {length} bytes, want {least}..{most}", offset=at)
        return self.take(length)

    @property
    def left(self) -> int:
        return len(self._data) - self._position


def _read_body(body: bytes, raw: bytes) -> ClientHello:
    """RFC 8446 §4.1.2, and §4.1.2 of RFC 5246 for hellos without extensions."""
    cursor = _Cursor(body)
    if cursor.take(2)[0] != 3:
        raise MalformedError("ClientHello", "legacy_version is not 3.x", offset=0)
    cursor.take(32)
    cursor.vector(1, least=0, most=32)
    if len(cursor.vector(2, least=2, most=65534)) % 2:
        raise MalformedError("ClientHello", "odd length of cipher_suites")
    cursor.vector(1, least=1, most=255)
    extensions = _read_extensions(cursor) if cursor.left else {}
    name, alpn = extensions.get(_EXT_SERVER_NAME), extensions.get(_EXT_ALPN)
    return ClientHello(
        sni=None if name is None else _read_name(name),
        alpn=() if alpn is None else _read_alpn(alpn),
        ech=_EXT_ECH in extensions,
        raw=raw,
    )


def _read_extensions(cursor: _Cursor) -> dict[int, bytes]:
    block = _Cursor(cursor.vector(2, least=0, most=65535))
    if cursor.left:
        raise MalformedError("ClientHello", f"{cursor.left} bytes behind the extensions")
    found: dict[int, bytes] = {}
    while block.left:
        kind = block.number(2)
        if kind in found:
            raise MalformedError("ClientHello", f"extension {kind} appears twice")
        if len(found) == _MAX_EXTENSIONS:
            raise MalformedError("ClientHello", f"more than {_MAX_EXTENSIONS} extensions")
        found[kind] = block.vector(2, least=0, most=65535)
    return found


def _read_name(extension: bytes) -> str:
    """RFC 6066 §3: one name of type host_name. Two names, or another type, is nothing we can route."""
    outer = _Cursor(extension)
    names = _Cursor(outer.vector(2, least=1, most=65535))
    if names.number(1) != 0:
        raise MalformedError("ClientHello", "server_name is not of type host_name")
    name = names.vector(2, least=1, most=253)
    if names.left or outer.left:
        raise MalformedError("ClientHello", "more than one server_name")
    if not name.isascii():
        raise MalformedError("ClientHello", "server_name is not ASCII")
    if name.endswith(b"."):
        raise MalformedError("ClientHello", "server_name ends with a dot")
    return normal_hostname(name.decode("ascii"))


def _read_alpn(extension: bytes) -> tuple[bytes, ...]:
    """RFC 7301 §3.1. GREASE entries are kept: they are bytes like any other."""
    outer = _Cursor(extension)
    names = _Cursor(outer.vector(2, least=2, most=65535))
    if outer.left:
        raise MalformedError("ClientHello", "bytes behind the ALPN list")
    found: list[bytes] = []
    while names.left:
        found.append(names.vector(1, least=1, most=255))
    return tuple(found)
