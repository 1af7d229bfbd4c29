"""The proof that a data connection belongs to a session, and to this very TLS connection. Pure.

    proof = HMAC-SHA256(join secret, each field as u32 length ‖ bytes)
    fields = "tunnel-data-join-v1", direction, session, epoch u32, worker u16, counter u32,
             SHA-256 of the server's data certificate, TLS Finished of the client, the sender's terms

The Finished is what stops somebody who stole the data key: he can end TLS on both sides, but the two
connections have two Finished messages, and he has no join secret (docs/protocol.md, data connections).

    JOIN payload:   16 session | u32 epoch | u16 worker | u32 counter | terms | 32 proof (client to server)
    JOINED payload: terms | 32 proof (server to client)
    terms:          u32 credit | u32 streams: what the sender takes of each stream, and how many it takes
"""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass
from enum import Enum

from runtime.errors import MalformedError, PeerError
from runtime.limits import Limits
from runtime.tunnel.frames import (
    HEADER_BYTES,
    MAX_CREDIT,
    MAX_FIRST,
    MAX_STREAM,
    Chunk,
    FrameType,
    check_header,
    frame,
)
from runtime.tunnel.routing import SessionId

SECRET_BYTES = 32
PROOF_BYTES = 32
SESSION_BYTES = 16
TERMS_BYTES = 8
JOIN_FRAME_BYTES = HEADER_BYTES + SESSION_BYTES + 10 + TERMS_BYTES + PROOF_BYTES
JOINED_FRAME_BYTES = HEADER_BYTES + TERMS_BYTES + PROOF_BYTES
COUNTER_WINDOW = 64  # connections dialled at once may arrive out of order, by no more than this

_LABEL = b"tunnel-data-join-v1"
_PREFIX = struct.Struct(">16sIHI")
_TERMS = struct.Struct(">II")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What one side takes on a data connection, whatever the other side's settings are.

    Raises:
        MalformedError: a credit that not even OPEN's first bytes fit into, or a number out of range.
    """

    credit: int  # bytes, of each stream and from the other side, until some are given back
    streams: int  # open at a time

    def __post_init__(self) -> None:
        if not MAX_FIRST <= self.credit <= MAX_CREDIT:
            raise MalformedError("join", f"credit of {self.credit}, want {MAX_FIRST}..{MAX_CREDIT}")
        if not 1 <= self.streams <= MAX_STREAM:
            raise MalformedError("join", f"{self.streams} streams, want 1..{MAX_STREAM}")

    @classmethod
    def of(cls, limits: Limits) -> Terms:
        """Return what our own settings allow the peer."""
        return cls(credit=limits.credit, streams=limits.max_streams)

    def encode(self) -> bytes:
        """Encode 8 bytes."""
        return _TERMS.pack(self.credit, self.streams)

    @classmethod
    def decode(cls, data: bytes) -> Terms:
        """Decode exactly 8 bytes. Raises MalformedError."""
        credit, streams = _TERMS.unpack(data)
        return cls(credit=credit, streams=streams)


class Direction(Enum):
    CLIENT_TO_SERVER = b"client-to-server"
    SERVER_TO_CLIENT = b"server-to-client"


def join_proof(
    secret: bytes,
    *,
    direction: Direction,
    session: bytes,
    epoch: int,
    worker: int,
    counter: int,
    certificate_sha256: bytes,
    finished: bytes,
    terms: Terms,
) -> bytes:
    """Compute one direction's proof, 32 bytes. Raises MalformedError for a value of the wrong size.

    `terms` are those of the side that makes the proof.
    """
    for what, value, size in (
        ("join secret", secret, SECRET_BYTES),
        ("session", session, SESSION_BYTES),
        ("certificate digest", certificate_sha256, 32),
    ):
        if len(value) != size:
            raise MalformedError(what, f"{len(value)} bytes, want {size}")
    if not 32 <= len(finished) <= 64:  # the hash length of the TLS 1.3 suite: SHA-256 or SHA-384
        raise MalformedError("TLS Finished", f"{len(finished)} bytes, want 32..64")
    try:
        numbers = (struct.pack(">I", epoch), struct.pack(">H", worker), struct.pack(">I", counter))
    except struct.error as error:
        raise MalformedError("join", "epoch, worker or counter is out of range") from error
    parts = (_LABEL, direction.value, session, *numbers, certificate_sha256, finished, terms.encode())
    message = b"".join(struct.pack(">I", len(part)) + part for part in parts)
    return hmac.digest(secret, message, "sha256")


def check_proof(got: bytes, want: bytes) -> None:
    """Compare in constant time. Raises PeerError (`join_refused`)."""
    if not hmac.compare_digest(got, want):
        raise PeerError("join_refused", "the proof does not fit this session and this TLS connection")


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """What the client's first frame says."""

    session: SessionId
    epoch: int
    worker: int
    counter: int
    terms: Terms
    proof: bytes

    def encode(self) -> bytes:
        """Encode the whole frame, 74 bytes. Raises MalformedError for a value out of range."""
        if len(self.session) != SESSION_BYTES or len(self.proof) != PROOF_BYTES:
            raise MalformedError("JOIN", "session or proof has the wrong size")
        try:
            prefix = _PREFIX.pack(self.session, self.epoch, self.worker, self.counter)
        except struct.error as error:
            raise MalformedError("JOIN", "epoch, worker or counter is out of range") from error
        return frame(FrameType.JOIN, 0, prefix + self.terms.encode() + self.proof)

    @classmethod
    def decode(cls, data: bytes) -> Join:
        """Decode a whole frame of exactly 74 bytes. Raises MalformedError."""
        payload = _payload(data, FrameType.JOIN, JOIN_FRAME_BYTES)
        session, epoch, worker, counter = _PREFIX.unpack_from(payload)
        terms, proof = payload[_PREFIX.size : -PROOF_BYTES], payload[-PROOF_BYTES:]
        return cls(
            session=SessionId(session),
            epoch=epoch,
            worker=worker,
            counter=counter,
            terms=Terms.decode(terms),
            proof=proof,
        )


def encode_joined(terms: Terms, proof: bytes) -> bytes:
    """Encode the server's answer, 48 bytes. Raises MalformedError."""
    if len(proof) != PROOF_BYTES:
        raise MalformedError("JOINED", f"proof is {len(proof)} bytes, want {PROOF_BYTES}")
    return frame(FrameType.JOINED, 0, terms.encode() + proof)


def decode_joined(data: bytes) -> tuple[Terms, bytes]:
    """Return terms and proof of a whole JOINED frame of exactly 48 bytes. Raises MalformedError."""
    payload = _payload(data, FrameType.JOINED, JOINED_FRAME_BYTES)
    return Terms.decode(payload[:TERMS_BYTES]), payload[TERMS_BYTES:]


def _payload(data: Chunk, kind: FrameType, size: int) -> bytes:
    if len(data) != size:
        raise MalformedError(kind.name, f"{len(data)} bytes, want {size}")
    raw = bytes(data)
    got, length, stream = raw[3], int.from_bytes(raw[:3], "big"), int.from_bytes(raw[4:8], "big")
    if got != kind:
        raise MalformedError(kind.name, f"the first frame has type {got}, want {int(kind)}")
    check_header(got, length, stream)
    return raw[HEADER_BYTES:]


class CounterLedger:
    """Let each counter of a (session, epoch, worker) be used once; memory is constant per session.

    Counters may arrive up to `COUNTER_WINDOW` behind the highest. Only the newest epoch is kept: a
    connection of an older one is refused, because its secret is gone.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[bytes, int], tuple[int, int, int]] = {}  # -> epoch, highest, bits below it

    def use(self, session: bytes, *, epoch: int, worker: int, counter: int) -> None:
        """Use up a counter. Call it after the proof was checked. Raises PeerError (`join_replayed`)."""
        seen_epoch, highest, bits = self._seen.get((session, worker), (epoch, -1, 0))
        if epoch < seen_epoch:
            raise PeerError("join_replayed", f"epoch {epoch} is over, now is {seen_epoch}")
        if epoch > seen_epoch:
            highest, bits = -1, 0
        if counter > highest:
            bits = ((bits << (counter - highest)) | 1) if counter - highest < COUNTER_WINDOW else 1
            highest = counter
        else:
            behind = highest - counter
            if behind >= COUNTER_WINDOW or bits >> behind & 1:
                raise PeerError("join_replayed", f"counter {counter} was used, or is too old")
            bits |= 1 << behind
        self._seen[session, worker] = (epoch, highest, bits & (2**COUNTER_WINDOW - 1))

    def forget(self, session: bytes) -> None:
        """Drop an ended session; its identifier is never given again, so nothing can be replayed."""
        for key in [key for key in self._seen if key[0] == session]:
            del self._seen[key]
