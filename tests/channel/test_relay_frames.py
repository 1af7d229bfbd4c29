"""The frames of a relayed owner's stream, and the credit that bounds it."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.channel import relay_frames
from runtime.channel.relay_frames import CREDIT, MAX_DATA, MAX_SIZE, Credit, Frame, Reason, What
from runtime.errors import MalformedError, PeerError

STREAMS = st.integers(1, 2**32 - 1)
FRAMES = st.one_of(
    st.builds(Frame, st.just(What.OPEN), STREAMS, st.binary(max_size=63)),
    st.builds(Frame, st.just(What.DATA), STREAMS, st.binary(min_size=1, max_size=300)),
    st.builds(relay_frames.window, STREAMS, st.integers(1, CREDIT)),
    st.builds(relay_frames.close, STREAMS, st.sampled_from(Reason)),
)


@given(FRAMES)
def test_round_trip(frame: Frame) -> None:
    assert relay_frames.decode(relay_frames.encode(frame)) == frame
    assert len(relay_frames.encode(frame)) <= MAX_SIZE


@given(st.binary(max_size=80))
def test_any_bytes_are_a_frame_or_our_error(data: bytes) -> None:
    try:
        frame = relay_frames.decode(data)
    except MalformedError:
        return
    assert relay_frames.encode(frame) == data
    if frame.what is What.CLOSE:
        assert frame.reason in Reason
    if frame.what is What.WINDOW:
        assert 1 <= frame.credit <= CREDIT


def test_the_documented_bytes() -> None:
    assert relay_frames.encode(Frame(What.OPEN, 7, b"client-1")) == b"\x01\0\0\0\x07client-1"
    assert relay_frames.encode(relay_frames.window(1, 0x1234)) == b"\x03\0\0\0\x01\0\0\x12\x34"
    assert relay_frames.window(1, 0x1234).credit == 0x1234
    assert relay_frames.encode(relay_frames.close(2, Reason.BUSY)) == b"\x04\0\0\0\x02\x02"


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "want at least 5"),
        (b"\x01\0\0\0", "want at least 5"),
        (b"\x05\0\0\0\x01", "kind 5"),
        (b"\x02\0\0\0\0x", "stream 0"),
        (b"\x02\0\0\0\x01", "DATA has 0 bytes"),
        (b"\x02\0\0\0\x01" + bytes(MAX_DATA + 1), "want 1 to 16384"),
        (b"\x01\0\0\0\x01" + b"n" * 64, "want 0 to 63"),
        (b"\x03\0\0\0\x01\0\0\0\0", "gives back 0"),
        (b"\x03\0\0\0\x01\xff\xff\xff\xff", "gives back"),
        (b"\x04\0\0\0\x01", "CLOSE has 0 bytes"),
    ],
)
def test_what_is_no_frame_is_named(raw: bytes, words: str) -> None:
    with pytest.raises(MalformedError, match=words):
        relay_frames.decode(raw)


def test_a_reason_that_we_do_not_know_is_gone() -> None:
    assert relay_frames.decode(b"\x04\0\0\0\x01\xee").reason is Reason.GONE


def test_credit_is_neither_overdrawn_nor_multiplied() -> None:
    credit = Credit()
    credit.spend(CREDIT)
    with pytest.raises(PeerError, match="too_large"):
        credit.spend(1)
    credit.give_back(10)
    credit.spend(10)
    credit.give_back(CREDIT)
    with pytest.raises(PeerError, match="malformed"):
        credit.give_back(1)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, CREDIT))))
def test_whatever_is_said_the_credit_stays_within_its_bounds(said: list[tuple[bool, int]]) -> None:
    credit = Credit()
    for spent, size in said:
        with contextlib.suppress(PeerError):
            (credit.spend if spent else credit.give_back)(size)
        assert 0 <= credit.left <= CREDIT


def test_a_reason_of_a_later_version_is_as_good_as_none() -> None:
    assert relay_frames.decode(b"\x04\0\0\0\x01\xfe").reason is Reason.GONE
    assert relay_frames.decode(b"\x04\0\0\0\x01\0").reason is Reason.DONE
