"""Two muxes joined in memory, a peer that breaks the rules, and the properties of a stream."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.errors import PeerError
from runtime.limits import Limits
from runtime.tunnel import frames
from runtime.tunnel.frames import CloseCode, FrameType, ResetCode, frame
from runtime.tunnel.stream import Stream
from tests.tunnel.memory import KIB, Pair, Sink, request


def test_first_bytes_data_and_both_ends() -> None:
    pair = Pair()
    stream, sink = pair.open(b"hello")
    pair.run()
    other = pair.accepted[0]
    assert other.far is not None
    stream.write(b" world")
    stream.end()
    other.far.write(b"answer")
    pair.run()
    assert (bytes(other.got), other.said) == (b"hello world", ["end"])
    assert (bytes(sink.got), sink.said) == (b"answer", [])
    assert pair.server.streams == pair.client.streams == 1
    other.far.write(b"!")
    other.far.end()
    pair.run()
    assert (bytes(sink.got), sink.said) == (b"answer!", ["end"])
    assert pair.server.streams == pair.client.streams == 0
    assert stream.over


def test_credit_bounds_what_a_stalled_stream_holds_and_pauses_its_source_only() -> None:
    pair = Pair(hold=True)
    stream, sink = pair.open()
    pair.run()
    for _ in range(8):
        stream.write(bytes(64 * KIB))
    pair.run()
    stalled = pair.accepted[0]
    assert len(stalled.got) == pair.limits.credit
    assert sink.said == ["pause"]
    other, other_sink = pair.open(b"x")
    other.write(b"y" * 5000)
    pair.run()
    assert len(pair.accepted[1].got) == 5001
    assert other_sink.said == []
    assert stalled.far is not None
    stalled.far.consumed(len(stalled.got))
    pair.run()
    assert len(stalled.got) == 8 * 64 * KIB
    assert sink.said == ["pause", "resume"]


def test_reset_reaches_the_other_side_once() -> None:
    pair = Pair()
    stream, sink = pair.open()
    pair.run()
    other = pair.accepted[0]
    assert other.far is not None
    stream.write(bytes(100 * KIB))
    stream.reset(ResetCode.VISITOR_LOST)
    stream.reset(ResetCode.VISITOR_LOST)
    stream.write(b"late")
    other.far.write(b"crossing")
    pair.run()
    assert (other.said, sink.said) == (["VISITOR_LOST"], ["pause"])
    assert pair.server.streams == pair.client.streams == 0
    assert pair.closed == {}


def test_a_refused_stream() -> None:
    pair = Pair()
    pair.refuse = ResetCode.NOT_GRANTED
    _, sink = pair.open(b"hello")
    pair.run()
    assert sink.said == ["NOT_GRANTED"]
    assert pair.server.streams == pair.client.streams == 0


def test_goaway_lets_streams_end_and_then_closes() -> None:
    pair = Pair()
    stream, _ = pair.open()
    pair.run()
    pair.client.goaway()
    crossing, _ = pair.open()  # the server has not heard of it yet
    pair.run()
    assert len(pair.accepted) == 2
    assert pair.server.going
    assert not pair.server.can_open
    with pytest.raises(PeerError):
        pair.open()
    for one, sink in zip((stream, crossing), pair.accepted, strict=True):
        assert sink.far is not None
        one.end()
        sink.far.end()
    pair.run()
    assert pair.down.closed
    assert pair.up.closed
    pair.lose()
    assert pair.closed == {"server": None, "client": None}


def test_losing_the_connection_resets_every_stream() -> None:
    pair = Pair()
    _, sink = pair.open()
    pair.run()
    pair.lose()
    assert sink.said == pair.accepted[0].said == ["CONNECTION_LOST"]


def test_a_silent_peer_is_asked_and_then_given_up() -> None:
    pair = Pair()
    pair.loop.sleep(12)
    assert b"\x00\x00\x08\x08" in b"".join(pair.down.written)
    assert not pair.down.closed
    pair.loop.sleep(10)
    assert pair.down.aborted
    pair.lose()
    error = pair.closed["server"]
    assert error is not None
    assert error.code == "silent"


def test_an_answering_peer_is_kept() -> None:
    pair = Pair()
    for _ in range(20):
        pair.loop.sleep(5)
        pair.run()
    assert not pair.down.closed


OPEN_1 = frame(FrameType.OPEN, 1, request().encode())
OPEN_2 = frame(FrameType.OPEN, 2, request().encode())
TO_CLIENT: list[tuple[bytes, CloseCode]] = [
    (OPEN_1 + frame(FrameType.DATA, 1, bytes(60000)) * 5, CloseCode.CREDIT_EXCEEDED),
    (frame(FrameType.DATA, 1, b"x"), CloseCode.STREAM_UNKNOWN),
    (OPEN_1 + frame(FrameType.DATA, 2, b"x"), CloseCode.STREAM_UNKNOWN),
    (frame(FrameType.RST, 9, b"\0\1"), CloseCode.STREAM_UNKNOWN),
    (frame(FrameType.WINDOW, 9, b"\0\0\0\1"), CloseCode.STREAM_UNKNOWN),
    (OPEN_1 + OPEN_1, CloseCode.STREAM_REUSED),
    (OPEN_1 + frame(FrameType.RST, 1, b"\0\1") + OPEN_1, CloseCode.STREAM_REUSED),
    (frame(FrameType.OPEN, 5, request().encode()) + OPEN_1, CloseCode.STREAM_REUSED),
    (OPEN_1 + frame(FrameType.END, 1) + frame(FrameType.DATA, 1, b"x"), CloseCode.STREAM_ENDED),
    (OPEN_1 + frame(FrameType.END, 1) * 2, CloseCode.STREAM_ENDED),
    (OPEN_1 + frame(FrameType.WINDOW, 1, b"\x7f\xff\xff\xff"), CloseCode.CREDIT_OVERFLOW),
    (frame(FrameType.OPEN, 1, b"\2" + bytes(60)), CloseCode.OPEN_MALFORMED),
    (frames.header(FrameType.DATA, 1, 65537), CloseCode.FRAME_LENGTH),
    (frames.header(FrameType.OPEN, 1, 65536), CloseCode.FRAME_LENGTH),
    (frames.header(11, 1, 1), CloseCode.FRAME_TYPE),
    (frames.header(0, 1, 0), CloseCode.FRAME_TYPE),
    (frames.header(FrameType.DATA, 0, 1), CloseCode.FRAME_STREAM),
    (frames.header(FrameType.PING, 1, 8), CloseCode.FRAME_STREAM),
    (frame(FrameType.JOINED, 0, bytes(40)), CloseCode.FRAME_UNEXPECTED),
    (OPEN_1 + frames.goaway(CloseCode.DRAIN) + OPEN_2, CloseCode.OPEN_AFTER_GOAWAY),
    (OPEN_1 + OPEN_2 + frame(FrameType.OPEN, 3, request().encode()), CloseCode.TOO_MANY_STREAMS),
]


@pytest.mark.parametrize(("sent", "code"), TO_CLIENT, ids=lambda value: getattr(value, "name", ""))
def test_a_violation_closes_with_its_code(sent: bytes, code: CloseCode) -> None:
    pair = Pair(Limits(max_streams=2), hold=True)
    pair.client.data_received(sent)
    pair.client.data_received(b"\xff" * 100)  # nothing is read any more
    assert b"".join(pair.up.written).endswith(frames.goaway(code))
    assert pair.up.closed
    pair.loop.sleep(2)
    assert pair.up.aborted
    pair.client.connection_lost(None)
    error = pair.closed["client"]
    assert error is not None
    assert (error.code, error.remote) == (code.name.lower(), False)
    assert pair.client.streams == 0


def test_only_the_server_opens() -> None:
    pair = Pair()
    pair.server.data_received(OPEN_1)
    assert b"".join(pair.down.written).endswith(frames.goaway(CloseCode.FRAME_UNEXPECTED))


def test_the_other_side_learns_the_code() -> None:
    pair = Pair()
    _, sink = pair.open()
    pair.run()
    pair.client.close(CloseCode.SESSION_ENDED, "over")
    pair.run()
    pair.lose()
    error = pair.closed["server"]
    assert error is not None
    assert (error.code, error.remote) == ("session_ended", True)
    assert sink.said == ["CONNECTION_LOST"]


Step = tuple[str, int, int]
ACTIONS = ["open", "down", "up", "end_down", "end_up", "turn", "carry"]
steps = st.lists(
    st.tuples(st.sampled_from(ACTIONS), st.integers(0, 3),
              st.sampled_from([1, 100, 5000, 16384, 70000])),
    max_size=60,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(steps)
def test_every_stream_delivers_exactly_what_was_written(script: list[Step]) -> None:
    """In any interleaving, with half-closes, over a link whose limits are small."""
    pair = Pair(Limits(credit=64 * KIB, high_water=32 * KIB))
    near: list[tuple[Stream, Sink]] = []
    sent: dict[tuple[str, int], bytearray] = {}
    ended: set[tuple[str, int]] = set()
    for action, which, size in script:
        if action == "open":
            near.append(pair.open(b"first"))
            sent["down", len(near) - 1] = bytearray(b"first")
            sent["up", len(near) - 1] = bytearray()
        elif action == "turn":
            pair.loop.turn()
        elif action == "carry":
            pair.run()
        elif near:
            index = which % len(near)
            way = action.removeprefix("end_")
            if way == "up" and len(pair.accepted) <= index:
                pair.run()
            far = pair.accepted[index].far if way == "up" else near[index][0]
            assert far is not None
            if action.startswith("end_"):
                ended.add((way, index))
                far.end()
            elif (way, index) not in ended:
                payload = bytes((index + size + len(sent[way, index])) & 0xFF for _ in range(1)) * size
                sent[way, index] += payload
                far.write(payload)
    pair.run()
    for index, (stream, sink) in enumerate(near):
        assert pair.accepted[index].got == sent["down", index]
        assert sink.got == sent["up", index]
        assert ("end" in pair.accepted[index].said) is (("down", index) in ended)
        assert ("end" in sink.said) is (("up", index) in ended)
        assert stream.over is ({("down", index), ("up", index)} <= ended)
    assert pair.closed == {}
