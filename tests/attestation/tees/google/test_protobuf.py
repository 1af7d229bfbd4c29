"""Fields are read or malformed; lengths never reach outside of the bytes given."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.attestation.tees.google import protobuf
from runtime.errors import MalformedError
from tests.fakes.google import data, number, varint


def test_numbers_bytes_and_fixed_fields() -> None:
    fields = protobuf.parse(number(1, 300) + data(2, b"abc") + b"\x19" + bytes(8) + data(2, b""), "x")
    assert [(field.number, field.value) for field in fields] == [
        (1, 300),
        (2, b"abc"),
        (3, bytes(8)),
        (2, b""),
    ]
    assert protobuf.one_number(fields, 1, "x") == 300
    assert protobuf.one_number(fields, 9, "x") == 0
    assert protobuf.all_bytes(fields, 2, "x") == (b"abc", b"")
    assert protobuf.one_bytes(fields, 3, "x") == bytes(8)
    assert protobuf.one_bytes(fields, 9, "x") is None


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"\x00\x01", "number 0"),
        (b"\x0b", "wire type 3"),
        (b"\x0d\0\0\0\0", "wire type 5"),
        (b"\x0a\x05abc", "needs 5 bytes"),
        (b"\x09abc", "needs 8 bytes"),
        (b"\x08", "ends inside a number"),
        (b"\x08" + b"\xff" * 9, "ends inside a number"),
        (b"\x08" + b"\xff" * 9 + b"\x02", "more than 64 bits"),
        (b"\x08" + b"\x80" * 10, "more than 64 bits"),
        (number(1, 1) * (protobuf.MAX_FIELDS + 1), "more than 4096 fields"),
    ],
)
def test_what_is_no_message(raw: bytes, words: str) -> None:
    with pytest.raises(MalformedError, match=words):
        protobuf.parse(raw, "x")


def test_a_field_of_another_kind_or_twice() -> None:
    twice = protobuf.parse(number(1, 1) * 2 + data(2, b"a") * 2, "x")
    for wrong in (
        lambda: protobuf.one_number(twice, 1, "x"),
        lambda: protobuf.one_bytes(twice, 2, "x"),
        lambda: protobuf.all_bytes(twice, 1, "x"),
        lambda: protobuf.one_number(protobuf.parse(data(1, b"a"), "x"), 1, "x"),
    ):
        with pytest.raises(MalformedError):
            wrong()


@given(st.integers(0, 2**64 - 1))
def test_numbers_round_trip(value: int) -> None:
    assert protobuf.parse(b"\x08" + varint(value), "x")[0].value == value


@given(st.binary(max_size=200))
def test_any_bytes_are_fields_or_malformed(raw: bytes) -> None:
    try:
        protobuf.parse(raw, "x")
    except MalformedError:
        return
