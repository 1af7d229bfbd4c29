"""Two sinks joined in one process: credit, half-close, reset."""

from __future__ import annotations

from runtime.tunnel.frames import Chunk, ResetCode
from runtime.tunnel.pipe import Pipe


class Sink:
    def __init__(self) -> None:
        self.got = b""
        self.said: list[str] = []

    def data(self, chunk: Chunk) -> None:
        self.got += chunk

    def end(self) -> None:
        self.said.append("end")

    def reset(self, code: ResetCode) -> None:
        self.said.append(code.name)

    def pause(self) -> None:
        self.said.append("pause")

    def resume(self) -> None:
        self.said.append("resume")


def test_credit_pauses_the_writer_until_the_reader_has_consumed() -> None:
    near, far = Sink(), Sink()
    pipe = Pipe(near, far, credit=100)
    pipe.near_side.write(b"x" * 100)
    assert near.said == []
    pipe.near_side.write(b"x")
    pipe.near_side.write(b"x")
    assert near.said == ["pause"]
    pipe.far_side.consumed(51)
    assert near.said == ["pause"]
    pipe.far_side.consumed(1)
    assert near.said == ["pause", "resume"]
    assert far.got == b"x" * 102
    pipe.far_side.write(b"y" * 101)
    assert far.said == ["pause"]
    assert near.got == b"y" * 101


def test_ends_are_kept_apart_and_a_reset_is_said_once() -> None:
    near, far = Sink(), Sink()
    pipe = Pipe(near, far, credit=1)
    pipe.near_side.end()
    assert (near.said, far.said) == ([], ["end"])
    pipe.far_side.write(b"still")
    pipe.far_side.reset(ResetCode.ORIGIN_LOST)
    pipe.near_side.reset(ResetCode.VISITOR_LOST)
    pipe.near_side.write(b"late")
    pipe.far_side.end()
    pipe.near_side.consumed(5)
    assert (near.said, far.said) == (["ORIGIN_LOST"], ["end", "pause"])
    assert far.got == b""
