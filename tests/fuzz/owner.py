"""What an owner, a client and the server between them say, and what is followed of WebSockets at a drain."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import cast

from runtime.channel import relay_frames
from runtime.channel.control_channel import ControlChannel
from runtime.channel.relay_frames import CREDIT, MAX_DATA, Credit, Frame, Reason, What
from runtime.documents import strict_json
from runtime.errors import MalformedError, PeerError
from runtime.tunnel import owner_messages
from runtime.tunnel.owner_messages import StatusPart, StatusText
from runtime.tunnel.owner_relay import OwnerRelay
from runtime.tunnel.websocket import WebSocketWatch
from tests.fuzz.pieces import cut
from tests.fuzz.target import Target, prefixed, split
from tests.tunnel.test_websocket import ASKS, YES
from tests.tunnel.test_websocket import frame as websocket_frame

# -- relayed streams ------------------------------------------------------------------------------------


def _frame(data: bytes) -> None:
    read = relay_frames.decode(data)
    assert relay_frames.encode(read) == data
    credit = Credit()
    if read.what is What.DATA:
        credit.spend(len(read.body))
        credit.give_back(len(read.body))
        assert credit.left == CREDIT
    elif read.what is What.WINDOW:
        assert 1 <= read.credit <= CREDIT
    elif read.what is What.CLOSE:
        assert read.reason in Reason


def _frame_seeds() -> list[bytes]:
    made = (
        Frame(What.OPEN, 1, b"client-1"),
        Frame(What.OPEN, 1),
        Frame(What.DATA, 1, b"some bytes"),
        relay_frames.window(1, CREDIT),
        relay_frames.close(2**32 - 1, Reason.BUSY),
    )
    return [relay_frames.encode(each) for each in made]


class _Wire:
    """Stands for a channel, and counts what its receiver has to hold."""

    def __init__(self) -> None:
        self.waiting: dict[int, int] = defaultdict(int)  # bytes sent to it, by stream
        self.over = False

    @property
    def channel(self) -> ControlChannel:
        return cast("ControlChannel", self)

    def send_frame(self, frame: Frame) -> None:
        if self.over:
            raise PeerError("closed", "gone")
        assert relay_frames.decode(relay_frames.encode(frame)) == frame, "sent what no peer would read"
        if frame.what is What.DATA:
            self.waiting[frame.stream] += len(frame.body)
            assert self.waiting[frame.stream] <= CREDIT, "more than the credit that was given"

    def said(self, frame: Frame) -> None:
        """Count the credit that its end gives back."""
        if frame.what is What.WINDOW:
            self.waiting[frame.stream] -= min(frame.credit, self.waiting[frame.stream])


_GONE = 4
_MOST = 2


def _relay(data: bytes) -> None:
    """Owner and client say anything, in any order; each step is who, the size of a frame, the frame.

    Bit 0: the client says it. Bit 1: a DATA frame is as long as it may be. Bit 2: the channel ends instead.
    """
    owner, client = _Wire(), _Wire()
    relay = OwnerRelay(
        lambda name: client.channel if name == "client-1" else None, most_streams=_MOST, count=lambda _: None
    )
    rest = data
    while len(rest) > 2 and not (owner.over and client.over):
        head, size, rest = rest[0], rest[1], rest[2:]
        raw, rest = rest[:size], rest[size:]
        who = client if head & 1 else owner
        if who.over:
            continue
        try:
            _say(relay, who, head, raw)
        except (PeerError, MalformedError):
            who.over = True
            relay.gone(who.channel)
        assert relay.streams <= _MOST
    for wire in (owner, client):
        relay.gone(wire.channel)
    assert relay.streams == 0


def _say(relay: OwnerRelay, who: _Wire, head: int, raw: bytes) -> None:
    """Let one thing happen. Raises: PeerError, MalformedError: the channel it came on is over."""
    if head & _GONE:
        raise PeerError("closed", "gone")
    frame = relay_frames.decode(raw)
    if frame.what is What.DATA and head & 2:
        frame = Frame(What.DATA, frame.stream, bytes(MAX_DATA))
    (relay.from_client if head & 1 else relay.from_owner)(who.channel, frame)
    who.said(frame)


def _said(head: int, frame: Frame) -> bytes:
    raw = relay_frames.encode(frame)
    return bytes((head, len(raw))) + raw


def _relay_seeds() -> list[bytes]:
    opened = _said(0, Frame(What.OPEN, 3, b"client-1"))
    talk = _said(0, Frame(What.DATA, 3, b"up")) + _said(1, Frame(What.DATA, 1, b"down"))
    credit = _said(1, relay_frames.window(1, 2)) + _said(0, relay_frames.window(3, 4))
    over = _said(1, relay_frames.close(1, Reason.DONE))
    flood = _said(2, Frame(What.DATA, 3, b"x")) * 5
    many = b"".join(_said(0, Frame(What.OPEN, n, b"client-1")) for n in range(1, _MOST + 3))
    gone = opened + talk + bytes((5, 0)) + talk
    return [opened + talk + credit + over, opened * 2, opened + flood, gone, many]


# -- messages -------------------------------------------------------------------------------------------


def _messages(data: bytes) -> None:
    """Lines of JSON, each a message; the parts of a status are put together."""
    status = StatusText()
    for line in data.split(b"\n"):
        value = strict_json.parse(line, owner_messages.WHAT)
        if not isinstance(value, dict):
            return
        message = owner_messages.decode(value)
        again = strict_json.parse(strict_json.canonical(owner_messages.encode(message)), "fuzz")
        assert owner_messages.decode(again) == message
        if isinstance(message, StatusPart) and (whole := status.add(message)) is not None:
            assert set(map(type, whole)) <= {str}, "a status has names"
            other = StatusText()
            *_, last = (other.add(part) for part in owner_messages.parts_of(whole))
            assert last == whole
            return


def _message_seeds() -> list[bytes]:
    parts = [StatusPart(part=0, parts=2, text='{"a": [1, '), StatusPart(part=1, parts=2, text="2]}")]
    whole = owner_messages.parts_of({"member": "server-1", "sessions": [{"member": "client-1"}]})
    none = StatusPart(part=0, parts=1, text="[1]")
    return [
        b"\n".join(map(_line, parts)),
        *(_line(message) for message in (whole[0], none, owner_messages.StatusAsk())),
    ]


def _line(message: owner_messages.OwnerMessage) -> bytes:
    return json.dumps(owner_messages.encode(message)).encode()


# -- WebSockets -----------------------------------------------------------------------------------------


def _websocket(data: bytes) -> None:
    """What is seen does not depend on how the bytes are cut, and is what a second reading of them says."""
    asks, answers = split(data, 2)
    answers = answers or b"\0"
    whole, pieces = WebSocketWatch(), WebSocketWatch()
    whole.request(asks)
    last = whole.response(answers[1:])
    for piece in cut(answers[:1] + asks)[1]:
        pieces.request(piece)
    seen = position = 0
    for piece in cut(answers)[1]:
        end = pieces.response(piece)
        assert 0 <= end <= len(piece)
        seen, position = position + end if end else seen, position + len(piece)
    assert (last, whole.may_close, whole.over) == (seen, pieces.may_close, pieces.over)
    if whole.may_close:
        assert last == len(answers) - 1, "may speak, and something is half said"
        assert _frames_end(answers[1:]), "a frame of ours would land inside of theirs"


def _frames_end(answers: bytes) -> bool:
    """Whether the bytes after the head are whole frames and none of them a CLOSE, read another way."""
    rest = answers[answers.index(b"\r\n\r\n") + 4 :]
    while rest:
        size, skip = rest[1] & 0x7F, 2
        if size > 125:
            skip = 4 if size == 126 else 10
            size = int.from_bytes(rest[2:skip], "big")
        if len(rest) < skip + size or rest[0] & 0x0F == 8:
            return False
        rest = rest[skip + size :]
    return True


def _websocket_seeds() -> list[bytes]:
    frames = websocket_frame(0) + websocket_frame(5, 0x01) + websocket_frame(130) + websocket_frame(2, 0x88)
    long = b"\x82\x7f" + (3).to_bytes(8, "big") + b"abc"
    return [
        prefixed(ASKS, b"\x04" + YES + frames),
        prefixed(ASKS, b"\x1f" + YES + long + frames[:9]),
        prefixed(ASKS, b"\0HTTP/1.1 200 OK\r\n\r\n"),
        prefixed(b"GET / HTTP/1.1\r\n\r\n", b"\0" + YES),
    ]


TARGETS = (
    Target(name="relay_frames", read=_frame, seeds=_frame_seeds, max_size=relay_frames.MAX_SIZE + 8),
    Target(name="owner_relay", read=_relay, seeds=_relay_seeds, max_size=2048),
    Target(name="owner_messages", read=_messages, seeds=_message_seeds),
    Target(name="websocket", read=_websocket, seeds=_websocket_seeds),
)
