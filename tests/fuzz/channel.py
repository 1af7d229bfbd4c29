"""What the two ends of a session read of each other: hellos, messages, transcripts, control messages."""

from __future__ import annotations

from hashlib import sha256

from runtime.channel import hello, messages
from runtime.channel.handshake import Appraise, Collect, Established, Handshake, Send, Step
from runtime.channel.hello import Side
from runtime.channel.messages import Decoder, Kind, Message
from runtime.documents import strict_json
from runtime.errors import MalformedError, PeerError
from runtime.limits import Limits
from runtime.tunnel import session_messages
from runtime.tunnel.session_messages import (
    Answer,
    AttestAgain,
    ControlMessage,
    DataPlan,
    Goaway,
    Offer,
    Ping,
    Pong,
    Serving,
)
from tests.channel.test_handshake import own_hello, side
from tests.fuzz.pieces import same
from tests.fuzz.target import Target

_LIMITS = Limits()


def _hello(data: bytes) -> None:
    read = hello.decode(data)
    if len(read.formats) == data[121]:  # formats that we do not know are left out
        assert hello.encode(read) == data


def _messages(data: bytes) -> None:
    for message in same(lambda: Decoder(_LIMITS).feed, data):
        assert messages.encode(message) in data


def _message_seeds() -> list[bytes]:
    whole = b"".join(
        messages.encode(Message(kind, payload))
        for kind, payload in (
            (Kind.HELLO, hello.encode(own_hello(Side.CLIENT))),
            (Kind.EVIDENCE, b"evidence"),
            (Kind.CONFIRM, bytes(32)),
            (Kind.REFUSED, b"busy"),
            (Kind.CONTROL, b"{}"),
        )
    )
    return [b"\x09" + whole, b"\0" + whole[:200]]


# -- transcripts ----------------------------------------------------------------------------------------

_MOST_STEPS = 24
_HONEST, _APPRAISED, _COLLECTED, _START = 5, 6, 7, 0  # below: a message of `_KINDS`, with bytes of the input
_KINDS = (Kind.HELLO, Kind.HELLO, Kind.EVIDENCE, Kind.CONFIRM, Kind.CONTROL)


class _Played:
    """A handshake driven by the input, beside the honest peer that it may be given the messages of."""

    def __init__(self, which: Side) -> None:
        self.side = which
        self.ours, self.peer = side(which), side(which.other)
        self.inbox: list[Message] = []  # what the honest peer has said and was not delivered
        self.shown = False  # the peer's evidence was found good
        self.confirmed = False  # the peer's own confirmation was delivered
        self.established = False
        self.tell(self.peer, self.peer.start())

    def tell(self, who: Handshake, steps: list[Step]) -> None:
        """Do what was asked for, at the peer at once, at our end when the input says so."""
        for step in steps:
            match step:
                case Send(message):
                    if who is self.peer:
                        self.inbox.append(message)
                    else:
                        self._deliver(message)
                case Collect() if who is self.peer:
                    self.tell(self.peer, self.peer.evidence_collected(b"evidence of the honest peer"))
                case Appraise() if who is self.peer:
                    self.tell(self.peer, self.peer.appraised())
                case Established() if who is self.ours:
                    assert self.shown, "a tunnel without the peer's evidence"
                    assert self.confirmed, "a tunnel without the peer's confirmation"
                    self.established = True
                case _:
                    pass

    def _deliver(self, message: Message) -> None:
        try:
            self.tell(self.peer, self.peer.receive(message))
        except (PeerError, MalformedError):
            self.inbox.clear()

    def play(self, action: int, given: bytes) -> None:
        """Let one thing happen at our end. Raises: PeerError, MalformedError, after which it is over."""
        if self.established:
            return
        if action == _HONEST:
            if self.inbox:
                message = self.inbox.pop(0)
                self.confirmed = self.confirmed or message.kind is Kind.CONFIRM
                self.tell(self.ours, self.ours.receive(message))
        elif action == _APPRAISED:
            steps = self.ours.appraised()
            self.shown = True
            self.tell(self.ours, steps)
        elif action == _COLLECTED:
            self.tell(self.ours, self.ours.evidence_collected(sha256(given).digest()))
        elif action == _START:
            self.tell(self.ours, self.ours.start())
        else:
            self.tell(self.ours, self.ours.receive(Message(_KINDS[action], given)))


def _transcript(data: bytes) -> None:
    played, rest = _Played(Side.CLIENT if data[:1] < b"\x80" else Side.SERVER), data[1:]
    for _ in range(_MOST_STEPS):
        if not rest:
            return
        action, size = rest[0] % 8, 0
        if 0 < action < _HONEST and len(rest) > 1:
            size = rest[1]
        given, rest = rest[2 : 2 + size], rest[2 + size :] if size else rest[1:]
        played.play(action, given)


def _transcript_seeds() -> list[bytes]:
    forged = hello.encode(own_hello(Side.SERVER, nonce=b"\x77" * 32))
    wrong = bytes((1, len(forged))) + forged
    return [
        bytes((0x00, _START, _HONEST, _COLLECTED, _HONEST, _APPRAISED, _HONEST)),
        bytes((0xFF, _START, _HONEST, _HONEST, _APPRAISED, _COLLECTED, _HONEST)),
        bytes((0x00, _START)) + wrong + bytes((_COLLECTED, 2, 4)) + b"evid" + bytes((_APPRAISED,)),
        bytes((0x00, _START, _HONEST, _COLLECTED, _HONEST, _APPRAISED, 3, 32)) + bytes(32),
        bytes((0xFF, _START, _HONEST, _HONEST, _APPRAISED, _COLLECTED, 3, 32)) + bytes(32),
    ]


# -- control messages -----------------------------------------------------------------------------------


def _session_message(data: bytes) -> None:
    value = strict_json.parse(data, session_messages.WHAT)
    if isinstance(value, dict):
        message = session_messages.decode(value)
        again = strict_json.parse(strict_json.canonical(session_messages.encode(message)), "fuzz")
        assert session_messages.decode(again) == message


def _session_seeds() -> list[bytes]:
    made: tuple[ControlMessage, ...] = (
        DataPlan(ports=(7444, 7445), certificate_sha256="ab" * 32, ping_ms=5000),
        Offer(hostnames=("a.example", "*.b.example")),
        Answer(n=1, granted=("a.example",), not_granted=("*.b.example",)),
        Serving(n=1),
        Ping(n=1),
        Pong(n=1),
        AttestAgain(reason="document"),
        Goaway(reason="drain", retry_after_s=3, deadline_ms=0),
    )
    return [strict_json.canonical(session_messages.encode(message)) for message in made]


TARGETS = (
    Target(
        name="hello",
        read=_hello,
        seeds=lambda: [hello.encode(own_hello(which)) for which in Side],
        max_size=160,
    ),
    Target(name="messages", read=_messages, seeds=_message_seeds, refuses=(PeerError,)),
    Target(
        name="handshake",
        read=_transcript,
        seeds=_transcript_seeds,
        max_size=1024,
        refuses=(PeerError, MalformedError),
    ),
    Target(name="session_messages", read=_session_message, seeds=_session_seeds),
)
