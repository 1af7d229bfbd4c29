"""Messages: bounded before they are buffered, the same however the bytes are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.channel import messages
from runtime.channel.messages import LIMITS, Decoder, Kind, Message
from runtime.errors import PeerError
from runtime.limits import Limits

MESSAGES = st.lists(
    st.sampled_from(list(Kind)).flatmap(
        lambda kind: st.builds(Message, st.just(kind), st.binary(max_size=min(LIMITS[kind], 300)))
    ),
    max_size=6,
)


@given(sequence=MESSAGES, cuts=st.lists(st.integers(1, 50)))
def test_the_same_messages_however_the_bytes_are_cut(sequence: list[Message], cuts: list[int]) -> None:
    raw = b"".join(messages.encode(message) for message in sequence)
    decoder, found, start = Decoder(Limits()), [], 0
    for size in [*cuts, len(raw)]:
        found += list(decoder.feed(raw[start : start + size]))
        start += size
    assert found == sequence


@given(st.binary(max_size=400))
def test_any_bytes_are_messages_or_our_error(data: bytes) -> None:
    try:
        list(Decoder(Limits()).feed(data))
    except PeerError as error:
        assert error.code in {"unknown_type", "too_large", "evidence_too_large", "control_too_large"}


@pytest.mark.parametrize("kind", list(Kind))
def test_too_much_is_refused_by_its_header_alone(kind: Kind) -> None:
    header = bytes([kind]) + (LIMITS[kind] + 1).to_bytes(3, "big")
    with pytest.raises(PeerError, match="too_large"):
        list(Decoder(Limits()).feed(header))
    with pytest.raises(PeerError, match="too_large"):
        messages.encode(Message(kind, bytes(LIMITS[kind] + 1)))


@pytest.mark.parametrize("value", sorted(set(range(256)) - set(Kind)))
def test_unknown_types_are_refused(value: int) -> None:
    with pytest.raises(PeerError, match="unknown_type"):
        list(Decoder(Limits()).feed(bytes([value, 0, 0, 0])))


@pytest.mark.parametrize("kind", list(Kind))
def test_the_largest_of_each_kind_passes(kind: Kind) -> None:
    message = Message(kind, bytes(LIMITS[kind]))
    assert list(Decoder(Limits()).feed(messages.encode(message))) == [message]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("busy", "busy"),
        ("evidence_too_large", "too_large"),
        ("appraisals_of_member", "busy"),
        ("a code of another version", "refused"),
    ],
)
def test_few_codes_go_over_the_wire(code: str, told: str) -> None:
    assert messages.public_code(code) == told
