"""Messages on the session connection (docs/protocol.md §3). Pure.

offset size  field
     0    1  type
     1    3  payload length, big-endian, bounded per type before anything is buffered
     4    n  payload
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

from runtime.channel import hello, relay_frames
from runtime.channel.owner_proof import SIGNATURE_SIZE
from runtime.errors import PeerError
from runtime.limits import Limits

HEADER_SIZE = 4  # bytes


class Kind(IntEnum):
    """Message types; the values are on the wire."""

    HELLO = 1
    EVIDENCE = 2
    CONFIRM = 3
    REFUSED = 4
    SIGNATURE = 5  # an owner's, in the place of evidence (docs/protocol.md §15)
    CONTROL = 16  # JSON of the established session (docs/protocol.md §7)
    RELAY = 17  # bytes between an owner and a client, who share no connection (docs/protocol.md §16)


# The largest payload of each type, bytes; a member may want less of evidence and control messages.
LIMITS = MappingProxyType(
    {
        Kind.HELLO: hello.MAX_SIZE,
        Kind.EVIDENCE: 256 * 1024,
        Kind.CONFIRM: 32,
        Kind.REFUSED: 64,
        Kind.SIGNATURE: SIGNATURE_SIZE,
        Kind.CONTROL: 64 * 1024,
        Kind.RELAY: relay_frames.MAX_SIZE,
    }
)

_TOO_LARGE = {Kind.EVIDENCE: "evidence_too_large", Kind.CONTROL: "control_too_large"}

# What a refusal may say. None of them tells which member, value or rule it was.
PUBLIC_CODES = frozenset(
    {
        "alpn",
        "busy",
        "clock_skew",
        "confirm",
        "document_conflict",
        "duplicate_member",
        "epoch",
        "evidence_refused",
        "formats",
        "malformed",
        "out_of_turn",
        "owner_refused",
        "reflected",
        "role",
        "timeout",
        "too_large",
        "unknown_type",
    }
)


# A limit's own code names it in our log; over the wire goes its kind.
_KIND_OF_LIMIT = MappingProxyType(
    {
        "appraisal_deadline": "timeout",
        "attestation_late": "timeout",
        "collect_deadline": "timeout",
        "message_deadline": "timeout",
        "send_deadline": "timeout",
        "session_tls_deadline": "timeout",
        "appraisals_full": "busy",
        "appraisals_of_address": "busy",
        "appraisals_of_member": "busy",
        "unconfirmed_displaced": "busy",
        "control_too_large": "too_large",
        "evidence_too_large": "too_large",
    }
)


def public_code(code: str) -> str:
    """Return the code if it is one of the few that go over the wire, a limit's kind, else `refused`.

    For both directions: what we tell, and what we believe a peer said; its text never names a metric.
    """
    return code if code in PUBLIC_CODES else _KIND_OF_LIMIT.get(code, "refused")


@dataclass(frozen=True, slots=True)
class Message:
    """One message."""

    kind: Kind
    payload: bytes


def encode(message: Message) -> bytes:
    """Return the wire form. The payload's size is ours to keep: too much is our bug."""
    if len(message.payload) > LIMITS[message.kind]:
        raise PeerError("too_large", f"{message.kind.name} of {len(message.payload)} bytes was not sent")
    return bytes([message.kind]) + len(message.payload).to_bytes(3, "big") + message.payload


class Decoder:
    """Cuts a byte stream into messages, however the bytes arrive."""

    def __init__(self, limits: Limits) -> None:
        self._buffer = bytearray()
        self._most = {
            **LIMITS,
            Kind.EVIDENCE: min(limits.evidence_bytes, LIMITS[Kind.EVIDENCE]),
            Kind.CONTROL: min(limits.control_bytes, LIMITS[Kind.CONTROL]),
        }

    def feed(self, data: bytes) -> Iterator[Message]:
        """Yield each complete message.

        Raises: PeerError: unknown_type, or (evidence_, control_)too_large before the payload is awaited.
        """
        self._buffer += data
        while len(self._buffer) >= HEADER_SIZE:
            kind, length = self._header()
            end = HEADER_SIZE + length
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[HEADER_SIZE:end])
            del self._buffer[:end]
            yield Message(kind, payload)

    def _header(self) -> tuple[Kind, int]:
        value = self._buffer[0]
        if value not in LIMITS:
            raise PeerError("unknown_type", f"message type is {value}")
        kind, length = Kind(value), int.from_bytes(self._buffer[1:HEADER_SIZE], "big")
        if length > self._most[kind]:
            code = _TOO_LARGE.get(kind, "too_large")
            raise PeerError(code, f"{kind.name} of {length} bytes, want at most {self._most[kind]}")
        return kind, length
