"""What a control process and its relay workers say to each other. Pure.

One JSON object a line, at most 64 KiB, `{"message": <name>, ...fields}`. Fields are exactly those
of the dataclass: a missing, unknown or mistyped one is refused. Bytes travel as hex.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, cast, get_args, get_type_hints

from runtime.errors import MalformedError
from runtime.limits import Limits

MAX_LINE = 64 * 1024
Address: TypeAlias = tuple[str, int]
Access: TypeAlias = Literal["none", "streams", "addresses"]  # of visitors, in the access log


@dataclass(frozen=True, slots=True, kw_only=True)
class Configure:
    """The first message a worker gets; it answers `Ready`."""

    worker: int
    visitor_listen: tuple[Address, ...]
    data_listen: tuple[Address, ...]  # on one port
    certificate_pem: str  # of the data connections, made at boot
    key_pem: str = field(repr=False)
    tunnel_name: str
    tunnel_name_socket: str  # unix socket that answers for the tunnel name itself
    limits: Limits
    access_log: Access


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session is confirmed, or has a new epoch: its data connections may join with this secret."""

    session: bytes  # 16
    member: str
    epoch: int
    join_secret: bytes = field(repr=False)  # 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Everything the session may serve now; hostnames left out are taken away."""

    session: bytes
    hostnames: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The session is over: cut its data connections and streams at once."""

    session: bytes
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """Take no new visitors, let the present ones finish, exit."""

    deadline_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The worker listens."""

    visitor_ports: tuple[int, ...]
    data_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """The answer to `Session`, and to each join; `connections` is how many it has now."""

    session: bytes
    connections: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """One data connection fewer."""

    session: bytes
    connections: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """Totals since the worker started; keys of the dicts are members, or reasons."""

    visitors: int  # connected now
    streams: int  # open now
    opened: dict[str, int]  # streams per member
    received: dict[str, int]  # frame bytes from each member
    sent: dict[str, int]  # frame bytes to each member
    refused: dict[str, int]  # per reason: visitors, joins and data connections turned away
    lag_s: float  # the longest that the loop was late since the report before


ToWorker: TypeAlias = Configure | Session | Grant | End | Drain
FromWorker: TypeAlias = Ready | Joined | Left | Counters
Message: TypeAlias = ToWorker | FromWorker

_TYPES: dict[str, type[Message]] = {
    kind.__name__.lower(): kind
    for kind in (Configure, Session, Grant, End, Drain, Ready, Joined, Left, Counters)
}
_HINTS = {kind: get_type_hints(kind) for kind in (*_TYPES.values(), Limits)}
_SIZES = {"session": 16, "join_secret": 32}


def encode(message: Message) -> bytes:
    """Encode one line, newline included. Raises MalformedError when it exceeds 64 KiB."""
    value = {"message": type(message).__name__.lower(), **_plain(message)}
    line = json.dumps(value, separators=(",", ":")).encode() + b"\n"
    if len(line) > MAX_LINE:
        raise MalformedError("control message", f"{len(line)} bytes, want at most {MAX_LINE}")
    return line


def decode(line: bytes) -> Message:
    """Decode one line, with or without its newline. Raises MalformedError."""
    if len(line) > MAX_LINE:
        raise MalformedError("control message", f"{len(line)} bytes, want at most {MAX_LINE}")
    try:
        value: object = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise MalformedError("control message", "not JSON") from error
    if not isinstance(value, dict):
        raise MalformedError("control message", "not an object")
    members = cast("dict[str, object]", value)
    name = members.pop("message", None)
    kind = _TYPES.get(name) if isinstance(name, str) else None
    if kind is None:
        raise MalformedError("control message", "unknown message")
    return cast("Message", _build(kind, members))


class LineSplitter:
    """Cut a byte stream into lines of at most 64 KiB."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that are complete now. Raises MalformedError for an overlong one."""
        *lines, self._held = (self._held + data).split(b"\n")
        if len(self._held) > MAX_LINE or any(len(line) >= MAX_LINE for line in lines):
            raise MalformedError("control message", f"a line of more than {MAX_LINE} bytes")
        return lines


def _plain(value: object) -> Any:  # JSON is untyped by nature
    if isinstance(value, bytes):
        return value.hex()
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in cast("tuple[object, ...]", value)]
    return value


def _build(kind: type[Message] | type[Limits], members: dict[str, object]) -> object:
    hints = _HINTS[kind]
    if members.keys() != hints.keys():
        wrong = ", ".join(sorted(members.keys() ^ hints.keys()))
        raise MalformedError(f"{kind.__name__} message", f"fields missing or unknown: {wrong[:200]}")
    return kind(**{name: _READERS[hints[name]](name, members[name]) for name in hints})


def _wrong(name: str, want: str) -> MalformedError:
    return MalformedError("control message", f"{name} is not {want}")


def _integer(name: str, value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise _wrong(name, "an integer 0..2^63-1")
    return value


def _seconds(name: str, value: object) -> float:
    if type(value) not in {int, float} or not 0 <= cast("float", value) <= 1e9:
        raise _wrong(name, "a number of seconds")
    return float(cast("float", value))


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise _wrong(name, "a text")
    return value


def _access(name: str, value: object) -> str:
    if value not in get_args(Access):
        raise _wrong(name, "none, streams or addresses")
    return _text(name, value)


def _bytes(name: str, value: object) -> bytes:
    try:
        data = bytes.fromhex(_text(name, value))
    except ValueError as error:
        raise _wrong(name, "hex") from error
    if len(data) != _SIZES[name]:
        raise _wrong(name, f"{_SIZES[name]} bytes")
    return data


def _items(name: str, value: object) -> list[object]:
    if not isinstance(value, list):
        raise _wrong(name, "a list")
    return cast("list[object]", value)


def _texts(name: str, value: object) -> tuple[str, ...]:
    return tuple(_text(name, item) for item in _items(name, value))


def _ports(name: str, value: object) -> tuple[int, ...]:
    return tuple(_integer(name, item) for item in _items(name, value))


def _address(name: str, value: object) -> Address:
    items = _items(name, value)
    if len(items) != 2:
        raise _wrong(name, "[host, port]")
    port = _integer(name, items[1])
    if port > 0xFFFF:
        raise _wrong(name, "a port")
    return (_text(name, items[0]), port)


def _addresses(name: str, value: object) -> tuple[Address, ...]:
    return tuple(_address(name, item) for item in _items(name, value))


def _totals(name: str, value: object) -> dict[str, int]:
    if not isinstance(value, dict):
        raise _wrong(name, "an object")
    return {key: _integer(name, item) for key, item in cast("dict[str, object]", value).items()}


def _limits(name: str, value: object) -> Limits:
    if not isinstance(value, dict):
        raise _wrong(name, "an object")
    return cast("Limits", _build(Limits, cast("dict[str, object]", value)))


_READERS: dict[object, Any] = {
    int: _integer,
    float: _seconds,
    str: _text,
    bytes: _bytes,
    tuple[str, ...]: _texts,
    tuple[int, ...]: _ports,
    Address: _address,
    tuple[Address, ...]: _addresses,
    dict[str, int]: _totals,
    Limits: _limits,
    Access: _access,
}
