"""Frames that carry an owner's connection to a client through a server (docs/protocol.md §16). Pure.

offset size  field
     0    1  what: 1 OPEN, 2 DATA, 3 WINDOW, 4 CLOSE
     1    4  stream, from 1, rising with each OPEN of one sender
     5    n  OPEN: the client's name (owner to server), nothing (server to client)
             DATA: 1 to 16,384 bytes      WINDOW: u32 credit given back      CLOSE: u8 reason

All integers are big-endian. Each direction of a stream starts with `CREDIT`; who sends more is closed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from runtime.errors import MalformedError, PeerError

_HEAD = struct.Struct(">BI")
_CREDIT = struct.Struct(">I")
MAX_DATA = 16 * 1024  # bytes of one DATA
MAX_NAME = 63  # bytes; as a member's name in the fleet document
MAX_SIZE = _HEAD.size + MAX_DATA
# What one stalled stream may hold at each hop and in each direction; a handshake with evidence is under it.
CREDIT = 64 * 1024  # bytes
WHAT = "relay frame"


class What(IntEnum):
    """Kinds of frame; the values are on the wire."""

    OPEN = 1
    DATA = 2
    WINDOW = 3
    CLOSE = 4


class Reason(IntEnum):
    """Why a stream is over; the values are on the wire."""

    DONE = 0
    NO_SESSION = 1  # this server has no session with that client
    BUSY = 2  # too many such streams
    GONE = 3  # the session that carried it ended


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame; `body` as in the table above."""

    what: What
    stream: int
    body: bytes = b""

    @property
    def credit(self) -> int:
        """The bytes given back by a WINDOW."""
        return int(_CREDIT.unpack(self.body)[0])

    @property
    def reason(self) -> Reason:
        """Why, of a CLOSE; a reason that we do not know is as good as none."""
        return Reason(self.body[0]) if self.body[0] in tuple(Reason) else Reason.GONE


def window(stream: int, credit: int) -> Frame:
    """Give credit back."""
    return Frame(What.WINDOW, stream, _CREDIT.pack(credit))


def close(stream: int, reason: Reason) -> Frame:
    """End a stream in both directions."""
    return Frame(What.CLOSE, stream, bytes([reason]))


def encode(frame: Frame) -> bytes:
    """Return the payload of a RELAY message."""
    return _HEAD.pack(frame.what, frame.stream) + frame.body


def decode(payload: bytes) -> Frame:
    """Read the payload of a RELAY message. Raises: MalformedError."""
    if len(payload) < _HEAD.size:
        raise MalformedError(WHAT, f"is {len(payload)} bytes, want at least {_HEAD.size}")
    what, stream = _HEAD.unpack_from(payload)
    body = payload[_HEAD.size :]
    if what not in tuple(What):
        raise MalformedError(WHAT, f"is of kind {what}, want 1 to 4", offset=0)
    if not stream:
        raise MalformedError(WHAT, "is of stream 0", offset=1)
    least, most = _SIZES[What(what)]
    if not least <= len(body) <= most:
        raise MalformedError(WHAT, f"{What(what).name} has {len(body)} bytes, want {least} to {most}")
    if what == What.WINDOW and not 1 <= _CREDIT.unpack(body)[0] <= CREDIT:
        raise MalformedError(WHAT, f"gives back {_CREDIT.unpack(body)[0]} bytes, want 1 to {CREDIT}")
    return Frame(What(what), stream, body)


_SIZES = {What.OPEN: (0, MAX_NAME), What.DATA: (1, MAX_DATA), What.WINDOW: (4, 4), What.CLOSE: (1, 1)}


class Credit:
    """What a sender may still send; the receiver keeps the same count, so a lie shows."""

    def __init__(self) -> None:
        self.left = CREDIT

    def spend(self, size: int) -> None:
        """Count bytes that were sent. Raises: PeerError when they are more than allowed."""
        if size > self.left:
            raise PeerError("too_large", f"{size} bytes of a relayed stream, {self.left} were allowed")
        self.left -= size

    def give_back(self, size: int) -> None:
        """Count credit that the receiver gave. Raises: PeerError for more than was ever spent."""
        if self.left + size > CREDIT:
            raise PeerError(
                "malformed", f"{size} bytes of credit given back, {CREDIT - self.left} were spent"
            )
        self.left += size
