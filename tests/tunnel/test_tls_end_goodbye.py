"""A WebSocket whose TLS ends here is told 1001 between two frames; nothing else is touched."""

from __future__ import annotations

import pytest

from runtime.tunnel.websocket import GOING_AWAY
from tests.tunnel.test_tls_end import Bench
from tests.tunnel.test_websocket import ASKS, YES, frame


def seen(bench: Bench) -> bytes:
    bench.carry()
    return bench.read()


def upgraded(asks: bytes = ASKS) -> Bench:
    bench = Bench()
    bench.handshake()
    bench.visitor.write(asks)
    bench.carry()
    bench.origin.far.write(YES)
    assert seen(bench) == YES
    return bench


def test_between_frames_it_is_told_at_once_and_its_answer_reaches_the_origin() -> None:
    bench = upgraded()
    bench.origin.far.write(frame(5))
    bench.end.goodbye()
    bench.end.goodbye()  # once is enough
    bench.origin.far.write(frame(9))  # nobody's any more
    assert seen(bench) == frame(5) + GOING_AWAY + b"<end>"
    assert bench.stream.said == ["end"]
    bench.visitor.write(b"\x88\x82maskXY")
    bench.carry()
    assert bench.origin.got.endswith(b"\x88\x82maskXY")


def test_within_a_frame_it_waits_for_the_end_of_it() -> None:
    bench = upgraded()
    whole = frame(300)
    bench.origin.far.write(whole[:10])
    bench.end.goodbye()
    assert seen(bench) == whole[:10]
    assert bench.stream.said == []
    bench.origin.far.write(whole[10:] + frame(7)[:3])
    assert seen(bench) == whole[10:] + GOING_AWAY + b"<end>"
    assert bench.stream.said == ["end"]


@pytest.mark.parametrize("asks", [b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n", b"GET / HTTP/1.1\r\n"])
def test_what_is_no_websocket_is_left_to_the_deadline(asks: bytes) -> None:
    bench = upgraded(asks)
    bench.end.goodbye()
    assert seen(bench) == b""
    assert bench.stream.said == []


def test_before_the_handshake_there_is_nothing_to_say() -> None:
    bench = Bench()
    bench.end.goodbye()
    assert bench.stream.said == []
