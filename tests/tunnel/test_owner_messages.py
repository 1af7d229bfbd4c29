"""What owner and member say to each other: exact, bounded, whole."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import MalformedError
from runtime.tunnel import owner_messages
from runtime.tunnel.owner_messages import MAX_PARTS, MAX_TEXT, StatusAsk, StatusPart, StatusText

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["kind", "part", "parts", "text", "x"]), VALUES))
def test_any_object_is_a_message_or_our_error(value: dict[str, Any]) -> None:
    try:
        message = owner_messages.decode(value)
    except MalformedError:
        return
    assert owner_messages.encode(message) == value


def test_round_trip() -> None:
    for message in (StatusAsk(), StatusPart(part=1, parts=3, text="x")):
        assert owner_messages.decode(owner_messages.encode(message)) == message


@pytest.mark.parametrize(
    "fields",
    [
        {"part": 0, "parts": 0, "text": ""},
        {"part": 1, "parts": 1, "text": ""},
        {"part": -1, "parts": 1, "text": ""},
        {"part": True, "parts": 2, "text": ""},
        {"part": 0, "parts": MAX_PARTS + 1, "text": ""},
        {"part": 0, "parts": 1, "text": "x" * (MAX_TEXT + 1)},
        {"part": 0, "parts": 1, "text": "é"},
        {"part": 0, "parts": 1, "text": 5},
        {"part": 0, "parts": 1},
    ],
)
def test_what_is_no_part_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        owner_messages.decode({"kind": "status", **fields})


def together(status: dict[str, Any]) -> dict[str, Any]:
    text = StatusText()
    *first, last = owner_messages.parts_of(status)
    for part in first:
        assert text.add(part) is None
    whole = text.add(last)
    assert whole is not None
    return whole


@pytest.mark.parametrize("size", [0, 10, MAX_TEXT - 20, MAX_TEXT, 5 * MAX_TEXT + 3])
def test_a_status_of_any_size_arrives_whole(size: int) -> None:
    status = {"member": "server-1", "text": 'é"' * (size // 8), "n": size}
    assert together(status) == status
    for part in owner_messages.parts_of(status):
        assert len(json.dumps(owner_messages.encode(part))) < 64 * 1024


def test_a_status_that_is_too_large_says_so() -> None:
    whole = together({"member": "server-1", "text": "x" * (MAX_TEXT * MAX_PARTS)})
    assert whole["member"] == "server-1"
    assert whole["too_large"] > MAX_TEXT * MAX_PARTS


def test_parts_out_of_order_and_what_is_no_status_are_refused() -> None:
    with pytest.raises(MalformedError, match="part 1"):
        StatusText().add(StatusPart(part=1, parts=2, text=""))
    for text in ("[]", "{", "1"):
        with pytest.raises(MalformedError):
            StatusText().add(StatusPart(part=0, parts=1, text=text))
