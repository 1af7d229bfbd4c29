"""JSON from strangers: one meaning, or `MalformedError`."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.documents import strict_json
from runtime.errors import MalformedError
from tests.documents.damage import JSON


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"{} {}", "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b'{"a": 1,}', "not JSON"),
        (b'{"a": 1, "a": 1}', "name 'a' twice"),
        (b'[{"b": {"c": 1, "c": 2}}]', "name 'c' twice"),
        (b'{"a": 1, "\\u0061": 2}', "name 'a' twice"),
        (b"NaN", "NaN"),
        (b"[Infinity]", "Infinity"),
        (b'{"a": -Infinity}', "-Infinity"),
        (b"1e999", "does not fit"),
        (b'{"a": [-1e999]}', "does not fit"),
        (b'"\\ud800"', "lone surrogate"),
        (b'{"\\udfff": 1}', "lone surrogate"),
        (b'[["\\udc00\\ud800"]]', "lone surrogate"),
        (b'"\xff"', "not UTF-8"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"\xff\xfe{\x00}\x00", "not UTF-8"),
        (b"1" * 21, "integer of 21 digits"),
        (b"-" + b"9" * 5000, "integer of 5001 digits"),
        (b"[" * 33 + b"]" * 33, "deeper than 32"),
        (b"[" * 100_000, "deeper than 32"),
        (b'{"a":' * 100_000, "deeper than 32"),
        (b'"a\nb"', "not JSON"),
        (b'"\\', "not JSON"),
        (b'{"a": "\\"[", "b": ' + b"[" * 32, "deeper than 32"),
    ],
)
def test_refuses_what_two_readers_may_read_differently(data: bytes, why: str) -> None:
    with pytest.raises(MalformedError, match=why) as refused:
        strict_json.parse(data, "thing")
    assert refused.value.what == "thing"


def test_refuses_by_size_before_reading() -> None:
    with pytest.raises(MalformedError, match="is 5 bytes, want at most 4"):
        strict_json.parse(b"[1,2]", "thing", max_size=4)
    assert strict_json.parse(b"[1]  ", "thing", max_size=5) == [1]


def _names(count: int) -> bytes:
    return ("{" + ",".join(f'"{name:x}":1' for name in range(count)) + ',"%x":1}' % (count - 1)).encode()


# Where names are counted or brackets sought once for each other, minutes of CPU: pytest ends them.
@pytest.mark.parametrize(
    ("data", "why"),
    [
        (_names(100_000), "name '1869f' twice"),
        (b'"' + b"\\x" * 500_000, "not JSON"),
        (b'["' + b'","' * 300_000, "not JSON"),
        (b"[" + b"[]," * 300_000, "not JSON"),
        (b'"' * 999_999, "not JSON"),
    ],
)
def test_the_largest_documents_are_gone_through_once(data: bytes, why: str) -> None:
    with pytest.raises(MalformedError, match=why):
        strict_json.parse(data, "thing")


def test_says_at_which_byte() -> None:
    with pytest.raises(MalformedError) as refused:
        strict_json.parse(b'{"a": \xff}', "thing")
    assert refused.value.offset == 6
    with pytest.raises(MalformedError, match="deeper") as refused:
        strict_json.parse(b'["[[", ' + b"{" * 40, "thing")
    assert refused.value.offset == 38


@pytest.mark.parametrize("depth", [1, 31, 32])
def test_brackets_up_to_the_depth_and_any_number_in_strings(depth: int) -> None:
    assert strict_json.parse(b"[" * depth + b"]" * depth, "thing") is not None
    assert strict_json.parse(b'["' + b"[" * 1000 + b'\\"{{"]', "thing") == ["[" * 1000 + '"{{']


def test_keeps_surrogate_pairs_and_the_largest_integers() -> None:
    assert strict_json.parse(b'"\\ud83d\\ude00"', "thing") == "\U0001f600"
    assert strict_json.parse(b"18446744073709551615", "thing") == 2**64 - 1


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return len(str(value)) <= 20
    if isinstance(value, list):
        return all(map(_finite, value))
    return all(map(_finite, value.values())) if isinstance(value, dict) else True


@given(JSON.filter(_finite))
def test_reads_back_what_it_writes(value: Any) -> None:
    assert strict_json.parse(strict_json.canonical(value), "thing") == value


@given(JSON.filter(_finite), st.randoms(use_true_random=False))
def test_one_spelling_whatever_the_order(value: Any, random: Any) -> None:
    def shuffle(item: Any) -> Any:
        if isinstance(item, dict):
            pairs = [(key, shuffle(inner)) for key, inner in item.items()]
            random.shuffle(pairs)
            return dict(pairs)
        return [shuffle(inner) for inner in item] if isinstance(item, list) else item

    assert strict_json.canonical(shuffle(value)) == strict_json.canonical(value)


@given(
    st.binary(max_size=64)
    | st.text(alphabet='[]{}",:\\0123456789.eE-+ntfalsurNI \n', max_size=40).map(str.encode)
)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        value = strict_json.parse(data, "thing")
    except MalformedError:
        return
    assert json.loads(data) == value
