"""One stream against a carrier that only records."""

from __future__ import annotations

import pytest

from runtime.limits import Limits
from runtime.tunnel import frames
from runtime.tunnel.frames import Chunk, CloseCode, FrameError, FrameType, ResetCode, frame
from runtime.tunnel.join import Terms
from runtime.tunnel.stream import Stream


class Carrier:
    def __init__(self) -> None:
        self.limits = Limits()
        self.peer = Terms.of(self.limits)
        self.sent: list[bytes] = []
        self.queued: list[Stream] = []
        self.forgotten: list[int] = []

    def gather_data(self, stream: int, data: Chunk) -> bool:
        self.sent.append(frame(FrameType.DATA, stream, bytes(data)))
        return True

    def gather_frame(self, head: bytes, parts: list[Chunk], size: int) -> None:
        assert sum(map(len, parts)) == size
        self.sent.append(head + b"".join(parts))

    def send_control(self, data: bytes) -> None:
        self.sent.append(data)

    def queue(self, stream: Stream) -> None:
        self.queued.append(stream)

    def forget(self, stream: int) -> None:
        self.forgotten.append(stream)


class Sink:
    def __init__(self, stream: Stream, *, resets: bool = False) -> None:
        self.stream = stream
        self.resets = resets
        self.said: list[str] = []

    def data(self, chunk: Chunk) -> None:
        self.said.append(f"data {len(chunk)}")
        if self.resets:
            self.stream.reset(ResetCode.ORIGIN_LOST)

    def end(self) -> None:
        self.said.append("end")

    def reset(self, code: ResetCode) -> None:
        self.said.append(code.name)

    def pause(self) -> None:
        self.said.append("pause")

    def resume(self) -> None:
        self.said.append("resume")


def made(*, resets: bool = False, credit: int = 1000) -> tuple[Carrier, Stream, Sink]:
    carrier = Carrier()
    gone = carrier.limits.credit - credit
    stream = Stream(carrier, 1, sent=gone, received=gone)
    sink = Sink(stream, resets=resets)
    stream.attach(sink)
    return carrier, stream, sink


def test_half_the_credit_is_given_back_at_once_and_never_after_the_end() -> None:
    carrier, stream, _ = made()
    half = carrier.limits.credit // 2
    stream.consumed(half - 1)
    assert carrier.sent == []
    stream.consumed(1)
    assert carrier.sent == [frames.window(1, half)]
    stream.received(b"", last=True)
    stream.consumed(half)
    assert len(carrier.sent) == 1


def test_a_sink_that_resets_in_the_middle_hears_nothing_more() -> None:
    carrier, stream, sink = made(resets=True)
    stream.received(b"x", last=True)
    assert sink.said == ["data 1"]
    assert carrier.forgotten == [1]
    assert stream.over
    stream.write(b"x")
    stream.end()
    stream.send_some(carrier)
    stream.credited(1)
    assert carrier.sent == [frames.reset(1, ResetCode.ORIGIN_LOST)]


def test_waiting_bytes_leave_in_pieces_of_the_credit_and_end_with_end() -> None:
    carrier, stream, sink = made(credit=10)
    stream.write(b"0123456789ab")
    stream.write(b"c")
    stream.end()
    stream.write(b"after the end")
    assert sink.said == ["pause"]
    assert carrier.queued == [stream]
    stream.send_some(carrier)
    stream.credited(2)
    stream.send_some(carrier)
    stream.credited(5)
    stream.send_some(carrier)
    assert carrier.sent == [
        frame(FrameType.DATA, 1, b"0123456789"),
        frame(FrameType.DATA, 1, b"ab"),
        frame(FrameType.END, 1, b"c"),
    ]
    assert carrier.forgotten == []
    stream.received(b"", last=True)
    assert carrier.forgotten == [1]


def test_more_than_the_credit_is_refused() -> None:
    _, stream, sink = made(credit=4)
    stream.received(b"1234", last=False)
    with pytest.raises(FrameError) as caught:
        stream.received(b"5", last=False)
    assert caught.value.close is CloseCode.CREDIT_EXCEEDED
    assert sink.said == ["data 4"]
