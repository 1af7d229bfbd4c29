"""Control messages of an established session (docs/protocol.md §7). Pure.

server → client   data_plan   certificate_sha256, ports: where and to whom data connections go; ping_ms
client → server   offer       hostnames of the client's routes; replaces the offer before
server → client   answer      n, granted, not_granted
client → server   serving     n: the answer of this number is in force at the client
client → server   ping        n      the client asks, the server answers
server → client   pong        n
server → client   attest_again  reason: begin the next epoch now
either            document_ask, document_part: the fleet document, to whoever has the lower version
either            goaway      reason, retry_after_s, deadline_ms: no new streams, then the session ends
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from runtime.errors import MalformedError
from runtime.tunnel.routing import normal_pattern

MAX_HOSTNAMES = 256  # as many routes as routes.json may hold
MAX_PORTS = 64  # as many workers as settings.json may ask for
DOCUMENT_PART = 24 * 1024  # bytes of a fleet document in one message; base64 of it is 32 KiB
_PART_TEXT = -(-DOCUMENT_PART // 3) * 4
WHAT = "control message"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPlan:
    """Where data connections go: one port per worker, at the address of the session; how often to ping."""

    certificate_sha256: str
    ports: tuple[int, ...]
    ping_ms: int  # at the most between two pings of the client: the server's patience is its own setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """The hostnames that the client has routes for."""

    hostnames: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server will send to this client, once it serves it."""

    n: int  # counts the answers of a session
    granted: tuple[str, ...]
    not_granted: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """The client has put the answer of this number in force: visitors may come."""

    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """Is anybody there."""

    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pong:
    """The answer to a ping."""

    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestAgain:
    """The client is to begin the next epoch."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Goaway:
    """The sender will end the session: no new streams."""

    reason: str
    retry_after_s: int  # dial again no sooner
    deadline_ms: int  # until streams that are left are cut


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentAsk:
    """Pass on the fleet document of this version, from this byte of its envelope."""

    version: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentPart:
    """At most `DOCUMENT_PART` bytes of it, base64; size 0: this version is not to be had."""

    version: int
    offset: int
    size: int  # bytes of the whole envelope
    data: str


ControlMessage = (
    DataPlan | Offer | Answer | Serving | Ping | Pong | AttestAgain | Goaway | DocumentAsk | DocumentPart
)
_KINDS: dict[str, type[ControlMessage]] = {
    "data_plan": DataPlan,
    "offer": Offer,
    "answer": Answer,
    "serving": Serving,
    "ping": Ping,
    "pong": Pong,
    "attest_again": AttestAgain,
    "goaway": Goaway,
    "document_ask": DocumentAsk,
    "document_part": DocumentPart,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def encode(message: ControlMessage) -> dict[str, Any]:
    """Return the JSON object."""
    return {"kind": _NAMES[type(message)], **asdict(message)}


def decode(value: dict[str, Any]) -> ControlMessage:
    """Read the JSON object. Raises: MalformedError for anything not exactly as above."""
    kind = _KINDS.get(str(value.get("kind")))
    if kind is None:
        raise MalformedError(WHAT, "is of no known kind")
    fields = {name: field for name, field in value.items() if name != "kind"}
    wanted = set(kind.__dataclass_fields__)
    if set(fields) != wanted:
        raise MalformedError(WHAT, f"{_NAMES[kind]} has other fields than {', '.join(sorted(wanted))}")
    return kind(**{name: _field(name, field) for name, field in fields.items()})


def _field(name: str, value: Any) -> Any:
    match name:
        case "ports":
            return _list(name, value, MAX_PORTS, lambda item: type(item) is int and 1 <= item <= 65535)
        case "hostnames" | "granted" | "not_granted":
            return _list(name, value, MAX_HOSTNAMES, _is_pattern)
        case "n" | "retry_after_s" | "deadline_ms" | "ping_ms" | "version" | "offset" | "size":
            bits = 63 if name in {"version", "offset", "size"} else 32
            if type(value) is not int or not 0 <= value < 1 << bits:
                raise MalformedError(WHAT, f"{name} is not an integer of {bits} bits")
            return value
        case "certificate_sha256":
            if not isinstance(value, str) or len(value) != 64 or not set(value) <= set("0123456789abcdef"):
                raise MalformedError(WHAT, f"{name} is not 64 hexadecimal digits")
            return value
        case _:
            most = _PART_TEXT if name == "data" else 200
            if not isinstance(value, str) or len(value) > most:
                raise MalformedError(WHAT, f"{name} is not a text of at most {most} characters")
            return value


def _is_pattern(item: Any) -> bool:
    """Tell whether it is a hostname, or *.hostname, in its one spelling: workers take nothing else."""
    try:
        return isinstance(item, str) and normal_pattern(item) == item
    except MalformedError:
        return False


def _list(name: str, value: Any, most: int, good: Any) -> tuple[Any, ...]:
    if not isinstance(value, list) or len(value) > most or not all(good(item) for item in value):
        raise MalformedError(WHAT, f"{name} is not a list of at most {most} valid items")
    return tuple(value)
