"""Lines between the control process and its workers."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import MalformedError
from runtime.limits import Limits
from runtime.tunnel.control import (
    MAX_LINE,
    Configure,
    Counters,
    Drain,
    End,
    Grant,
    Joined,
    Left,
    LineSplitter,
    Message,
    Ready,
    Session,
    decode,
    encode,
)

MESSAGES: list[Message] = [
    Configure(
        worker=1,
        visitor_listen=(("::", 443), ("0.0.0.0", 443)),
        data_listen=(("::", 7444), ("192.0.2.1", 7444)),
        certificate_pem="c",
        key_pem="k",
        tunnel_name="t.example",
        tunnel_name_socket="/run/t",
        limits=Limits(credit=65536),
        access_log="streams",
    ),
    Session(session=bytes(16), member="m", epoch=1, join_secret=bytes(32)),
    Grant(session=bytes(16), hostnames=("a.b", "*.c.d")),
    End(session=bytes(16), reason="why"),
    Drain(deadline_s=30.0),
    Ready(visitor_ports=(1, 2), data_port=3),
    Joined(session=bytes(16), connections=1),
    Left(session=bytes(16), connections=0),
    Counters(
        visitors=1,
        streams=2,
        opened={"m": 3},
        received={"m": 4},
        sent={},
        refused={"no_route": 5},
        lag_s=0.25,
    ),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_round_trip(message: Message) -> None:
    line = encode(message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode(line) == message


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_missing_unknown_and_mistyped_fields_are_refused(message: Message) -> None:
    value: dict[str, Any] = json.loads(encode(message))
    wrong: list[dict[str, Any]] = [value | {"extra": 1}]
    for name in value:
        wrong += [{key: value[key] for key in value if key != name}]
        wrong += [value | {name: bad} for bad in BAD if not fits(name, bad)]
    for one in wrong:
        with pytest.raises(MalformedError):
            decode(json.dumps(one).encode())


BAD: list[object] = [None, {"x": "y"}, [[]], True, -1, "zz"]


def fits(name: str, value: object) -> bool:
    texts = {"certificate_pem", "key_pem", "tunnel_name", "tunnel_name_socket", "member", "reason"}
    return name in texts and isinstance(value, str)


@given(st.binary(max_size=100))
def test_anything_decodes_or_is_malformed(data: bytes) -> None:
    with contextlib.suppress(MalformedError):
        decode(data)


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(st.sampled_from(MESSAGES), st.data())
def test_any_field_decodes_or_is_malformed(message: Message, data: st.DataObject) -> None:
    value: dict[str, Any] = json.loads(encode(message))
    name = data.draw(st.sampled_from(sorted(value)))
    value[name] = data.draw(values)
    with contextlib.suppress(MalformedError):
        decode(json.dumps(value).encode())


@pytest.mark.parametrize(
    "line", [b"[]", b"1", b"{}", b'{"message":1}', b'{"message":"x"}', b"[" * 60000, b" " * 70000, b"\xff"]
)
def test_refused_lines(line: bytes) -> None:
    with pytest.raises(MalformedError):
        decode(line)


def test_a_line_is_at_most_64_kib() -> None:
    with pytest.raises(MalformedError):
        encode(End(session=bytes(16), reason="x" * MAX_LINE))
    splitter = LineSplitter()
    assert splitter.feed(b"a\nb") == [b"a"]
    assert splitter.feed(b"c\n\n") == [b"bc", b""]
    for sent in (b"x" * (MAX_LINE + 1), b"x" * (MAX_LINE + 1) + b"\n"):
        with pytest.raises(MalformedError):
            LineSplitter().feed(sent)


@pytest.mark.parametrize("address", [["::"], ["::", 65536], ["::", 1, 2], "::", [1, 1]])
def test_addresses_are_a_host_and_a_port(address: object) -> None:
    value: dict[str, Any] = json.loads(encode(MESSAGES[0]))
    with pytest.raises(MalformedError):
        decode(json.dumps(value | {"data_listen": [address]}).encode())


def test_bytes_have_their_size() -> None:
    value: dict[str, Any] = json.loads(encode(MESSAGES[1]))
    for session in ("00" * 15, "00" * 17, "zz" * 16, ""):
        with pytest.raises(MalformedError):
            decode(json.dumps(value | {"session": session}).encode())


def test_secrets_are_not_shown() -> None:
    assert "key_pem" not in repr(MESSAGES[0])
    assert "join_secret" not in repr(MESSAGES[1])
