"""The frames of a data connection: layout, bounds, encoder, incremental decoder. Pure.

A frame is an 8-byte header, big-endian, and a payload:

    u24 payload length | u8 type | u32 stream

    type        code  stream  payload
    JOIN           1       0  66 bytes: `join.Join`; the client's first frame
    JOINED         2       0  40 bytes: the server's terms and proof; its first frame
    OPEN           3      >0  `OpenRequest`; the server only, ids strictly rising
    DATA           4      >0  1..65536 bytes of the stream
    END            5      >0  0..65536 last bytes of this direction (half-close)
    WINDOW         6      >0  u32 credit given back, > 0
    RST            7      >0  u16 `ResetCode`: both directions are over
    PING           8       0  8 bytes, opaque
    PONG           9       0  the same 8 bytes
    GOAWAY        10       0  u16 `CloseCode`: no new streams (0), or why the connection closes

    OPEN payload: u8 version (1) | 16 bytes request id | u8 n | n bytes hostname (ASCII)
                  | 16 bytes visitor address (IPv4 mapped) | u16 port
                  | 16 bytes server-side address | u16 port | the visitor's first bytes

Type, length and stream are checked as soon as the header is there, before any payload is kept.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from runtime.errors import MalformedError

Chunk: TypeAlias = bytes | memoryview
OnFrame: TypeAlias = Callable[[int, int, Chunk], None]  # type, stream, payload

HEADER_BYTES = 8
MAX_DATA = 65536  # also what one stream may send per loop turn
MAX_FIRST = 16384  # the visitor's first bytes inside OPEN
MAX_CREDIT = 2**31 - 1
MAX_STREAM = 2**32 - 1
MAX_HOSTNAME = 253  # RFC 1035 §2.3.4 in text form
OPEN_VERSION = 1
REQUEST_ID = 16  # bytes, drawn at random by the server
_VIEW_FROM = 4096  # below this a copy is cheaper than a memoryview

_HEADER = struct.Struct(">II")  # (length << 8 | type), stream
_ENDPOINTS = struct.Struct(">16sH16sH")
_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")
_VERSION = bytes((OPEN_VERSION,))


class FrameType(IntEnum):
    JOIN = 1
    JOINED = 2
    OPEN = 3
    DATA = 4
    END = 5
    WINDOW = 6
    RST = 7
    PING = 8
    PONG = 9
    GOAWAY = 10


class ResetCode(IntEnum):
    """Why a stream ended before both its directions did. Unknown codes read as UNSPECIFIED."""

    UNSPECIFIED = 0
    NOT_GRANTED = 1  # this client was not granted the hostname
    NO_ROUTE = 2  # granted, but no origin is configured for it
    ORIGIN_UNREACHABLE = 3
    ORIGIN_LOST = 4
    VISITOR_LOST = 5
    CONNECTION_LOST = 6  # the data connection went away below the stream; never on the wire
    HANDSHAKE = 7  # the visitor's TLS failed at the client
    IDLE = 8
    DRAINED = 9  # the drain's deadline passed
    ORIGIN_DEADLINE = 11  # the origin did not take the connection in time
    TLS_DEADLINE = 12  # the visitor's TLS at the client was not done in time
    TLS_UNREAD = 13  # the visitor makes its TLS at the client answer, and reads no answer
    ORIGIN_TLS = 10  # the origin's TLS failed, its certificate is not pinned, or it speaks another protocol


class CloseCode(IntEnum):
    """Why a data connection closes; the lower-case name is the code of the `PeerError`."""

    DRAIN = 0
    FRAME_TYPE = 1
    FRAME_LENGTH = 2
    FRAME_STREAM = 3
    FRAME_UNEXPECTED = 4
    OPEN_MALFORMED = 5
    OPEN_AFTER_GOAWAY = 6
    STREAM_UNKNOWN = 7
    STREAM_REUSED = 8
    STREAM_ENDED = 9
    CREDIT_EXCEEDED = 10
    CREDIT_OVERFLOW = 11
    TOO_MANY_STREAMS = 12
    STALLED = 13
    SILENT = 14
    SESSION_ENDED = 15
    UNSPECIFIED = 65535


class FrameError(MalformedError):
    """A frame that the layout forbids; `close` is what the peer is told."""

    def __init__(self, close: CloseCode, detail: str) -> None:
        self.close = close
        super().__init__("frame", detail)

    def __reduce__(self) -> tuple[object, ...]:
        return (FrameError, (self.close, self.detail))


_OPEN_NAME = 1 + REQUEST_ID + 1  # where the hostname starts
_OPEN_LEAST = _OPEN_NAME + 1 + _ENDPOINTS.size
_OPEN_MOST = _OPEN_NAME + MAX_HOSTNAME + _ENDPOINTS.size + MAX_FIRST
# Index = type: least payload, most payload, whether it belongs to the connection (stream 0).
_BOUNDS: tuple[tuple[int, int, bool], ...] = (
    (1, 0, True),  # 0 is no type: nothing satisfies this
    (66, 66, True),
    (40, 40, True),
    (_OPEN_LEAST, _OPEN_MOST, False),
    (1, MAX_DATA, False),
    (0, MAX_DATA, False),
    (4, 4, False),
    (2, 2, False),
    (8, 8, True),
    (8, 8, True),
    (2, 2, True),
)
_RESETS = {int(code): code for code in ResetCode}
_CLOSES = {int(code): code for code in CloseCode}
_DATA, _END = int(FrameType.DATA), int(FrameType.END)


def header(kind: int, stream: int, length: int) -> bytes:
    """Encode the 8-byte header."""
    return _HEADER.pack(length << 8 | kind, stream)


def frame(kind: FrameType, stream: int, payload: bytes = b"") -> bytes:
    """Encode a whole frame."""
    return _HEADER.pack(len(payload) << 8 | kind, stream) + payload


def window(stream: int, credit: int) -> bytes:
    """Encode a WINDOW frame."""
    return frame(FrameType.WINDOW, stream, _U32.pack(credit))


def reset(stream: int, code: ResetCode) -> bytes:
    """Encode an RST frame."""
    return frame(FrameType.RST, stream, _U16.pack(code))


def goaway(code: CloseCode) -> bytes:
    """Encode a GOAWAY frame."""
    return frame(FrameType.GOAWAY, 0, _U16.pack(code))


def read_credit(payload: Chunk) -> int:
    """Decode WINDOW. Raises FrameError (CREDIT_OVERFLOW) outside 1..2^31-1."""
    credit = int.from_bytes(payload, "big")
    if not 0 < credit <= MAX_CREDIT:
        raise FrameError(CloseCode.CREDIT_OVERFLOW, f"WINDOW of {credit}")
    return credit


def read_reset(payload: Chunk) -> ResetCode:
    """Decode RST; a code of a later version is UNSPECIFIED."""
    code = int.from_bytes(payload, "big")
    return _RESETS.get(code, ResetCode.UNSPECIFIED)


def read_close(payload: Chunk) -> CloseCode:
    """Decode GOAWAY; a code of a later version is UNSPECIFIED."""
    code = int.from_bytes(payload, "big")
    return _CLOSES.get(code, CloseCode.UNSPECIFIED)


def check_header(kind: int, length: int, stream: int) -> None:
    """Refuse a header that the table above forbids. Raises FrameError."""
    if not 0 < kind < len(_BOUNDS):
        raise FrameError(CloseCode.FRAME_TYPE, f"type {kind} is unknown")
    least, most, connection = _BOUNDS[kind]
    if not least <= length <= most:
        name = FrameType(kind).name
        raise FrameError(CloseCode.FRAME_LENGTH, f"{name} of {length} bytes, want {least}..{most}")
    if connection is not (stream == 0):
        raise FrameError(CloseCode.FRAME_STREAM, f"{FrameType(kind).name} on stream {stream}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An address as OPEN carries it: 16 bytes, IPv4 mapped into IPv6, and a port."""

    address: bytes
    port: int

    def __post_init__(self) -> None:
        if len(self.address) != 16:
            raise MalformedError("endpoint", f"address is {len(self.address)} bytes, want 16")
        if not 0 <= self.port <= 0xFFFF:
            raise MalformedError("endpoint", f"port {self.port} is not 0..65535")

    @classmethod
    def of(cls, host: str, port: int) -> Endpoint:
        """Read an address in text. Raises MalformedError when it is none."""
        try:
            address = ipaddress.ip_address(host.partition("%")[0])
        except ValueError as error:
            raise MalformedError("endpoint", "the address is neither IPv4 nor IPv6") from error
        mapped = address.packed if address.version == 6 else b"\0" * 10 + b"\xff\xff" + address.packed
        return cls(address=mapped, port=port)

    def __str__(self) -> str:
        address = ipaddress.IPv6Address(self.address)
        return f"{address.ipv4_mapped}:{self.port}" if address.ipv4_mapped else f"[{address}]:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRequest:
    """What OPEN says: for which hostname, who came, where, and the first bytes already read.

    `request_id` names the stream in the access logs of both ends; a visitor has no part in it.
    """

    request_id: bytes  # 16
    hostname: str
    visitor: Endpoint
    server: Endpoint
    first: bytes

    def __post_init__(self) -> None:
        if len(self.request_id) != REQUEST_ID:
            raise MalformedError("OPEN", f"the request id is {len(self.request_id)} bytes, want {REQUEST_ID}")
        if not 1 <= len(self.hostname) <= MAX_HOSTNAME or not self.hostname.isascii():
            raise MalformedError("OPEN", "the hostname is not 1..253 ASCII characters")
        if len(self.first) > MAX_FIRST:
            raise MalformedError("OPEN", f"{len(self.first)} first bytes, want at most {MAX_FIRST}")

    def encode(self) -> bytes:
        """Encode the payload."""
        name = self.hostname.encode("ascii")
        ends = _ENDPOINTS.pack(self.visitor.address, self.visitor.port, self.server.address, self.server.port)
        return b"".join((_VERSION, self.request_id, bytes((len(name),)), name, ends, self.first))

    @classmethod
    def decode(cls, payload: Chunk) -> OpenRequest:
        """Decode the payload. Raises MalformedError."""
        data = bytes(payload)
        if len(data) < _OPEN_LEAST:
            raise MalformedError("OPEN", f"{len(data)} bytes, want at least {_OPEN_LEAST}")
        if data[0] != OPEN_VERSION:
            raise MalformedError("OPEN", f"version {data[0]}, want {OPEN_VERSION}", offset=0)
        start = _OPEN_NAME + data[_OPEN_NAME - 1]
        if len(data) < start + _ENDPOINTS.size:
            raise MalformedError("OPEN", "the hostname is longer than the payload", offset=_OPEN_NAME - 1)
        name = data[_OPEN_NAME:start]
        if not name.isascii():
            raise MalformedError("OPEN", "the hostname is not ASCII", offset=_OPEN_NAME)
        visitor, visitor_port, server, server_port = _ENDPOINTS.unpack_from(data, start)
        return cls(
            request_id=data[1 : 1 + REQUEST_ID],
            hostname=name.decode("ascii"),
            visitor=Endpoint(address=visitor, port=visitor_port),
            server=Endpoint(address=server, port=server_port),
            first=data[start + _ENDPOINTS.size :],
        )


class Decoder:
    """Cut a byte stream into frames, forwarding DATA before it is complete (cut-through).

    A DATA payload may arrive in several calls of type DATA; an END's in calls of type DATA and a
    last one of type END. Every other frame arrives whole. At most one OPEN is ever held.
    After an error the decoder must not be fed again.
    """

    __slots__ = ("_held", "_kind", "_left", "_need", "_stream")

    def __init__(self) -> None:
        self._held = bytearray()  # an incomplete header, or an incomplete frame other than DATA and END
        self._need = 0  # bytes that complete what is held, when known
        self._left = 0  # bytes missing of the DATA or END under way
        self._kind = 0
        self._stream = 0

    def feed(self, data: bytes, on_frame: OnFrame) -> None:
        """Take the next bytes and call `on_frame` for each frame or piece in order. Raises FrameError.

        Pieces of 4 KiB and more are views into `data`, which is immutable: they may be kept.
        """
        if self._held:
            self._held += data
            if len(self._held) < self._need:
                return
            data = bytes(self._held)
            self._held.clear()
        position = self._payload(data, 0, on_frame) if self._left else 0
        end = len(data)
        while end - position >= HEADER_BYTES:
            word, stream = _HEADER.unpack_from(data, position)
            kind, length = word & 0xFF, word >> 8
            check_header(kind, length, stream)
            if length and kind in (_DATA, _END):
                self._kind, self._stream, self._left = kind, stream, length
                position = self._payload(data, position + HEADER_BYTES, on_frame)
                continue
            stop = position + HEADER_BYTES + length
            if stop > end:
                self._hold(data, position, HEADER_BYTES + length)
                return
            on_frame(kind, stream, data[position + HEADER_BYTES : stop])
            position = stop
        if position < end:
            self._hold(data, position, HEADER_BYTES)

    def _hold(self, data: bytes, position: int, need: int) -> None:
        self._held += data[position:]
        self._need = need

    def _payload(self, data: bytes, position: int, on_frame: OnFrame) -> int:
        size = min(self._left, len(data) - position)
        if not size:
            return position
        stop = position + size
        # A view keeps all of `data` alive: only a good part of it may, or a stalled stream holds far more
        # than its credit.
        copied = size < _VIEW_FROM or size * 4 < len(data)
        piece: Chunk = data[position:stop] if copied else memoryview(data)[position:stop]
        self._left -= size
        on_frame(_DATA if self._left else self._kind, self._stream, piece)
        return stop
