"""Control messages: whatever JSON arrives is a message or our error, and what we send is read the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.channel.messages import LIMITS, Kind
from runtime.documents import strict_json
from runtime.errors import MalformedError
from runtime.tunnel import session_messages
from runtime.tunnel.session_messages import (
    MAX_HOSTNAMES,
    MAX_PORTS,
    Answer,
    ControlMessage,
    DataPlan,
    Goaway,
    Offer,
    Ping,
    Pong,
    Serving,
    decode,
    encode,
)

U32 = st.integers(0, 2**32 - 1)
NAMES = st.lists(
    st.from_regex(r"(\*\.)?([a-z][a-z0-9-]{0,9}[a-z0-9]\.){1,3}[a-z]{2,5}", fullmatch=True), max_size=8
).map(tuple)
MESSAGES: st.SearchStrategy[ControlMessage] = st.one_of(
    st.builds(
        DataPlan,
        certificate_sha256=st.binary(min_size=32, max_size=32).map(bytes.hex),
        ports=st.lists(st.integers(1, 65535), max_size=MAX_PORTS).map(tuple),
        ping_ms=U32,
    ),
    st.builds(Offer, hostnames=NAMES),
    st.builds(Answer, n=U32, granted=NAMES, not_granted=NAMES),
    st.builds(Serving, n=U32),
    st.builds(Ping, n=U32),
    st.builds(Pong, n=U32),
    st.builds(Goaway, reason=st.text(max_size=200), retry_after_s=U32, deadline_ms=U32),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
KINDS = st.sampled_from(["data_plan", "offer", "answer", "serving", "ping", "pong", "goaway", "OFFER", ""])
FIELDS = st.sampled_from(
    [
        "certificate_sha256",
        "ports",
        "hostnames",
        "granted",
        "not_granted",
        "n",
        "reason",
        "retry_after_s",
        "deadline_ms",
        "ping_ms",
    ]
)
GOOD: list[dict[str, Any]] = [
    {"kind": "data_plan", "certificate_sha256": "ab" * 32, "ports": [7444, 7445], "ping_ms": 5000},
    {"kind": "offer", "hostnames": ["app.test"]},
    {"kind": "answer", "n": 1, "granted": ["app.test"], "not_granted": []},
    {"kind": "serving", "n": 1},
    {"kind": "ping", "n": 1},
    {"kind": "pong", "n": 0},
    {"kind": "goaway", "reason": "draining", "retry_after_s": 1, "deadline_ms": 30000},
    {"kind": "document_ask", "version": 2**40, "offset": 0},
    {"kind": "document_part", "version": 7, "offset": 0, "size": 3, "data": "YWJj"},
]


@given(MESSAGES)
def test_what_is_encoded_is_read_the_same_over_the_wire(message: ControlMessage) -> None:
    wire = strict_json.parse(json.dumps(encode(message)).encode(), "test")
    assert decode(wire) == message


@given(st.dictionaries(st.text(max_size=10) | FIELDS | st.just("kind"), JSON | KINDS, max_size=5))
def test_any_object_is_a_message_or_our_error(value: dict[str, Any]) -> None:
    try:
        message = decode(value)
    except MalformedError:
        return
    assert json.loads(json.dumps(encode(message))) == value


@given(st.sampled_from(GOOD), FIELDS | st.just("kind"), JSON)
def test_a_message_with_one_wrong_field_is_a_message_or_our_error(
    good: dict[str, Any], name: str, value: Any
) -> None:
    changed = good | {name: value}
    try:
        message = decode(changed)
    except MalformedError:
        return
    assert json.loads(json.dumps(encode(message))) == changed


@pytest.mark.parametrize("good", GOOD)
def test_every_field_is_wanted_and_no_other(good: dict[str, Any]) -> None:
    assert encode(decode(good)) == {key: tuple(v) if isinstance(v, list) else v for key, v in good.items()}
    for name in good:
        with pytest.raises(MalformedError):
            decode({key: value for key, value in good.items() if key != name})
    with pytest.raises(MalformedError):
        decode(good | {"more": 1})


@pytest.mark.parametrize(
    "bad",
    [
        {"kind": "ping", "n": -1},
        {"kind": "ping", "n": 2**32},
        {"kind": "ping", "n": True},
        {"kind": "ping", "n": 1.0},
        {"kind": "offer", "hostnames": "app.test"},
        {"kind": "offer", "hostnames": [""]},
        {"kind": "offer", "hostnames": ["a" * 254]},
        {"kind": "offer", "hostnames": ["a"] * (MAX_HOSTNAMES + 1)},
        {"kind": "data_plan", "certificate_sha256": "ab" * 32, "ports": [1]},
        {"kind": "data_plan", "certificate_sha256": "ab" * 32, "ports": [1], "ping_ms": -1},
        {"kind": "data_plan", "certificate_sha256": "ab" * 32, "ports": [1], "ping_ms": 1.5},
        {"kind": "data_plan", "certificate_sha256": "AB" * 32, "ports": [1], "ping_ms": 5000},
        {"kind": "data_plan", "certificate_sha256": "ab" * 31, "ports": [1], "ping_ms": 5000},
        {"kind": "data_plan", "certificate_sha256": "ab" * 32, "ports": [0], "ping_ms": 5000},
        {"kind": "data_plan", "certificate_sha256": "ab" * 32, "ports": [65536], "ping_ms": 5000},
        {"kind": "data_plan", "certificate_sha256": "ab" * 32, "ports": [True], "ping_ms": 5000},
        {
            "kind": "data_plan",
            "certificate_sha256": "ab" * 32,
            "ports": [1] * (MAX_PORTS + 1),
            "ping_ms": 5000,
        },
        {"kind": "goaway", "reason": "x" * 201, "retry_after_s": 0, "deadline_ms": 0},
        {"kind": ["offer"], "hostnames": []},
        {"kind": "Offer", "hostnames": []},
    ],
)
def test_what_is_out_of_bounds_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        decode(bad)


def test_as_many_routes_as_a_client_may_have_can_be_offered() -> None:
    """256 hostnames of full length are 65 KiB: more than a CONTROL message holds, and said so by `send`."""
    usual = Offer(hostnames=tuple(f"{n:03}.{'a' * 60}.example" for n in range(MAX_HOSTNAMES)))
    assert len(strict_json.canonical(encode(usual))) < LIMITS[Kind.CONTROL]
    assert session_messages.MAX_HOSTNAMES == 256


BAD_HOSTNAMES = [
    "!.shop.test",
    "*",
    "*.",
    "**.test",
    "a..test",
    "-a.test",
    "A.test",
    "a.test.",
    "127.0.0.1",
    "a b.test",
]


@pytest.mark.parametrize("hostname", [*BAD_HOSTNAMES, "\u00e9.test"])
@pytest.mark.parametrize("kind", ["offer", "answer"])
def test_what_is_no_hostname_is_refused_before_a_worker_sees_it(kind: str, hostname: str) -> None:
    """A worker that fails on one member's hostname would take every member's visitors with it."""
    raw: dict[str, Any] = {"kind": "offer", "hostnames": ["ok.test", hostname]}
    if kind == "answer":
        raw = {"kind": "answer", "granted": [hostname], "not_granted": []}
    with pytest.raises(MalformedError):
        session_messages.decode(raw)
