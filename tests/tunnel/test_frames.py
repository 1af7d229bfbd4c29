"""The frame layout: bounds, round trips, and the same events however the bytes are split."""

from __future__ import annotations

import contextlib
import copy
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import MalformedError
from runtime.tunnel import frames
from runtime.tunnel.frames import (
    MAX_DATA,
    Chunk,
    CloseCode,
    Decoder,
    Endpoint,
    FrameError,
    FrameType,
    OpenRequest,
    ResetCode,
    frame,
)

Event = tuple[int, int, bytes]

lengths = {
    FrameType.JOIN: 66,
    FrameType.JOINED: 40,
    FrameType.OPEN: 60,
    FrameType.WINDOW: 4,
    FrameType.RST: 2,
    FrameType.PING: 8,
    FrameType.PONG: 8,
    FrameType.GOAWAY: 2,
}
of_connection = {FrameType.JOIN, FrameType.JOINED, FrameType.PING, FrameType.PONG, FrameType.GOAWAY}

ID = bytes(range(16))


@st.composite
def legal_frames(draw: st.DrawFn) -> bytes:
    kind = draw(st.sampled_from(list(FrameType)))
    stream = 0 if kind in of_connection else draw(st.integers(1, 3))
    if kind in lengths:
        payload = bytes(draw(st.integers(0, 255)) for _ in range(1)) * lengths[kind]
    else:
        size = draw(st.sampled_from([1, 2, 100, 4095, 4096, 5000, MAX_DATA]))
        payload = bytes((draw(st.integers(0, 255)),)) * size
        if kind is FrameType.END and draw(st.booleans()):
            payload = b""
    return frame(kind, stream, payload)


def decode(pieces: list[bytes]) -> tuple[list[Event], CloseCode | None]:
    """Events with adjacent pieces of a DATA or END joined, and how it ended."""
    events: list[Event] = []

    def on_frame(kind: int, stream: int, payload: Chunk) -> None:
        last = events[-1] if events else (0, 0, b"")
        if kind in (FrameType.DATA, FrameType.END) and last[:2] == (FrameType.DATA, stream):
            events[-1] = (kind, stream, last[2] + bytes(payload))
        else:
            events.append((kind, stream, bytes(payload)))

    decoder = Decoder()
    try:
        for piece in pieces:
            decoder.feed(piece, on_frame)
    except FrameError as error:
        return events, error.close
    return events, None


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@given(
    st.lists(legal_frames(), max_size=8), st.lists(st.integers(0, 2**20), max_size=12), st.binary(max_size=20)
)
def test_same_events_however_split(sent: list[bytes], cuts: list[int], tail: bytes) -> None:
    data = b"".join(sent) + tail
    assert decode(split(data, cuts)) == decode([data])


@given(st.lists(legal_frames().filter(lambda one: len(one) < 300), max_size=5))
def test_one_byte_at_a_time(sent: list[bytes]) -> None:
    data = b"".join(sent)
    events, error = decode([data])
    assert error is None
    assert decode([bytes((byte,)) for byte in data]) == (events, None)


@given(st.binary(max_size=200))
def test_anything_is_accepted_or_refused_with_our_error(data: bytes) -> None:
    decode([data])


def test_partial_data_is_forwarded_on_arrival_as_a_view() -> None:
    seen: list[tuple[int, type, int]] = []
    decoder = Decoder()
    whole = frame(FrameType.END, 7, bytes(30000))
    for start in range(0, len(whole), 10000):
        decoder.feed(
            whole[start : start + 10000], lambda kind, _, part: seen.append((kind, type(part), len(part)))
        )
    assert seen == [
        (FrameType.DATA, memoryview, 9992),
        (FrameType.DATA, memoryview, 10000),
        (FrameType.DATA, memoryview, 10000),
        (FrameType.END, bytes, 8),
    ]


@pytest.mark.parametrize(
    ("kind", "length", "stream", "code"),
    [
        (FrameType.OPEN, 16384 + 18 + 253 + 36 + 1, 1, CloseCode.FRAME_LENGTH),
        (FrameType.DATA, 0, 1, CloseCode.FRAME_LENGTH),
        (FrameType.DATA, MAX_DATA + 1, 1, CloseCode.FRAME_LENGTH),
        (FrameType.END, MAX_DATA + 1, 1, CloseCode.FRAME_LENGTH),
        (FrameType.END, 2**24 - 1, 1, CloseCode.FRAME_LENGTH),
        (FrameType.WINDOW, 3, 1, CloseCode.FRAME_LENGTH),
        (FrameType.GOAWAY, 3, 0, CloseCode.FRAME_LENGTH),
        (FrameType.JOIN, 66, 1, CloseCode.FRAME_STREAM),
        (FrameType.OPEN, 60, 0, CloseCode.FRAME_STREAM),
        (0, 0, 0, CloseCode.FRAME_TYPE),
        (11, 0, 0, CloseCode.FRAME_TYPE),
        (255, 8, 0, CloseCode.FRAME_TYPE),
    ],
)
def test_a_forbidden_header_is_refused_before_its_payload(
    kind: int, length: int, stream: int, code: CloseCode
) -> None:
    assert decode([frames.header(kind, stream, length)]) == ([], code)


@given(
    st.binary(min_size=16, max_size=16),
    st.text("abcdefghijklmnopqrstuvwxyz.-", min_size=1, max_size=253),
    st.ip_addresses(),
    st.integers(0, 65535),
    st.binary(max_size=16384),
)
def test_open_round_trip(request_id: bytes, hostname: str, address: object, port: int, first: bytes) -> None:
    request = OpenRequest(
        request_id=request_id,
        hostname=hostname,
        visitor=Endpoint.of(str(address), port),
        server=Endpoint.of("::1", 443),
        first=first,
    )
    assert OpenRequest.decode(request.encode()) == request


@given(st.binary(max_size=400))
def test_open_decodes_or_is_malformed(data: bytes) -> None:
    with contextlib.suppress(MalformedError):
        assert OpenRequest.decode(data).encode() == data
    with contextlib.suppress(MalformedError):
        OpenRequest.decode(b"\x01" + ID + data)


def test_endpoints_in_text() -> None:
    assert str(Endpoint.of("192.0.2.7", 80)) == "192.0.2.7:80"
    assert str(Endpoint.of("2001:db8::1", 80)) == "[2001:db8::1]:80"
    assert Endpoint.of("fe80::1%eth0", 1).address[:2] == b"\xfe\x80"
    for bad in ({"address": b"", "port": 1}, {"address": bytes(16), "port": 65536}):
        with pytest.raises(MalformedError):
            Endpoint(**bad)  # type: ignore[arg-type]  # a table of wrong values
    with pytest.raises(MalformedError):
        Endpoint.of("nowhere", 1)


def test_codes_of_a_later_version_are_unspecified() -> None:
    assert frames.read_reset(b"\xff\x00") is ResetCode.UNSPECIFIED
    assert frames.read_reset(b"\x00\x01") is ResetCode.NOT_GRANTED
    assert frames.read_close(b"\xff\x00") is CloseCode.UNSPECIFIED
    assert frames.read_close(b"\x00\x0d") is CloseCode.STALLED


@pytest.mark.parametrize(
    ("payload", "legal"), [(b"\0\0\0\0", False), (b"\x80\0\0\0", False), (b"\x7f\xff\xff\xff", True)]
)
def test_credit_bounds(payload: bytes, legal: bool) -> None:
    if legal:
        assert frames.read_credit(payload) == 2**31 - 1
    else:
        with pytest.raises(FrameError):
            frames.read_credit(payload)


def test_long_fields_of_open_are_refused() -> None:
    here = Endpoint.of("::1", 1)
    for hostname, first in (("", b""), ("a" * 254, b""), ("é", b""), ("a", bytes(16385))):
        with pytest.raises(MalformedError):
            OpenRequest(request_id=ID, hostname=hostname, visitor=here, server=here, first=first)
    for wrong in (b"", bytes(15), bytes(17)):
        with pytest.raises(MalformedError):
            OpenRequest(request_id=wrong, hostname="a", visitor=here, server=here, first=b"")
    with pytest.raises(MalformedError):
        OpenRequest.decode(b"\x01" + ID + b"\x02\xff\xff" + bytes(36))


def test_the_error_survives_a_process_boundary() -> None:
    error = copy.copy(FrameError(CloseCode.STALLED, "x"))
    assert (error.close, error.detail) == (CloseCode.STALLED, "x")


def test_an_open_whose_hostname_is_not_ascii_is_refused() -> None:
    with pytest.raises(MalformedError):
        OpenRequest.decode(b"\x01" + ID + b"\x01\xff" + bytes(36))
    with pytest.raises(MalformedError):
        OpenRequest.decode(b"\x01" + ID + b"\x30a" + bytes(36))


def test_the_small_frames_byte_by_byte() -> None:
    assert frames.window(7, 4096) == b"\0\0\x04\x06\0\0\0\x07" + b"\0\0\x10\0"
    assert frames.reset(7, ResetCode.NOT_GRANTED) == b"\0\0\x02\x07\0\0\0\x07" + b"\0\x01"
    assert frames.goaway(CloseCode.STALLED) == b"\0\0\x02\x0a\0\0\0\0" + b"\0\x0d"


def test_an_open_of_another_version_is_refused() -> None:
    here = Endpoint.of("::1", 1)
    right = OpenRequest(request_id=ID, hostname="a", visitor=here, server=here, first=b"").encode()
    assert OpenRequest.decode(right).hostname == "a"
    with pytest.raises(MalformedError, match="version"):
        OpenRequest.decode(bytes([right[0] + 1]) + right[1:])
