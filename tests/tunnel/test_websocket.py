"""Frames of a WebSocket are followed however its bytes are cut, and nothing else is taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.tunnel.websocket import GOING_AWAY, MAX_HEAD, WebSocketWatch

ASKS = b"GET /chat HTTP/1.1\r\nHost: app.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
YES = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


def frame(size: int, opcode: int = 0x82) -> bytes:
    """A frame of an origin: not masked."""
    if size < 126:
        return bytes([opcode, size]) + bytes(size)
    if size < 65536:
        return bytes([opcode, 126]) + size.to_bytes(2, "big") + bytes(size)
    return bytes([opcode, 127]) + size.to_bytes(8, "big") + bytes(size)


def opened(asks: bytes = ASKS) -> WebSocketWatch:
    watch = WebSocketWatch()
    watch.request(asks)
    watch.response(YES)
    return watch


def test_between_frames_we_may_speak_and_within_one_not() -> None:
    watch = opened()
    assert watch.may_close
    whole = frame(300)
    told = [
        (watch.response(part), watch.may_close) for part in (whole[:100], whole[100:] + frame(5) + b"\x82")
    ]
    assert told == [(0, False), (len(whole) - 100 + 7, False)]


def test_the_close_frame_is_what_the_rfc_says() -> None:
    assert bytes([0x88, 2]) + (1001).to_bytes(2, "big") == GOING_AWAY


@pytest.mark.parametrize("spelt", [b"upgrade:websocket", b"UPGRADE: WebSocket"])
def test_header_names_and_values_have_no_case(spelt: bytes) -> None:
    assert opened(ASKS.replace(b"Upgrade: websocket", spelt)).may_close


def test_what_asks_for_none_or_gets_none_is_none() -> None:
    for asks, answers in (
        (b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n", YES),
        (ASKS, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        (b"x" * (MAX_HEAD + 1), YES),
        (ASKS, b"x" * (MAX_HEAD + 1)),
    ):
        watch = WebSocketWatch()
        watch.request(asks)
        watch.response(answers)
        assert watch.over
        assert not watch.may_close


def test_after_the_origins_own_close_there_is_nothing_to_say() -> None:
    watch = opened()
    watch.response(frame(2, 0x88))
    assert not watch.may_close


@given(
    st.lists(st.sampled_from([0, 1, 125, 126, 127, 65535, 65536, 70000]), max_size=4),
    st.lists(st.integers(1, 5000), max_size=12),
)
def test_however_the_bytes_are_cut_the_boundaries_are_the_same(sizes: list[int], cuts: list[int]) -> None:
    stream = YES + b"".join(frame(size) for size in sizes)
    ends = [len(YES)]
    for size in sizes:
        ends.append(ends[-1] + len(frame(size)))
    watch = WebSocketWatch()
    watch.request(ASKS)
    position = 0
    for cut in [*cuts, len(stream)]:
        piece = stream[position : position + cut]
        if not piece:
            continue
        told = watch.response(piece)
        inside = [end for end in ends if position < end <= position + len(piece)]
        assert told == (inside[-1] - position if inside else 0)
        position += len(piece)
        assert watch.may_close == (position in ends)


def test_a_request_that_comes_in_pieces_and_what_follows_it() -> None:
    watch = WebSocketWatch()
    for piece in (ASKS[:9], ASKS[9:]):
        watch.request(piece)
    assert watch.response(YES) == len(YES)
    watch.request(frame(3) + b"GET / HTTP/1.1\r\n\r\n")  # the visitor's frames are not looked at
    assert watch.may_close
    assert not watch.over
