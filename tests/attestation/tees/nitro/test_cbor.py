"""One reading of every byte: what RFC 8949 allows to be spelled twice is refused, with its place."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.attestation.tees.nitro import cbor
from runtime.attestation.tees.nitro.cbor import Item, Tagged
from runtime.errors import MalformedError
from tests.fakes import nitro


def plain(item: Item) -> Any:
    match item.value:
        case tuple() as items:
            return [plain(each) for each in items]
        case dict() as pairs:
            return {key: plain(each) for key, each in pairs.items()}
        case Tagged() as tagged:
            return nitro.Tag(tagged.tag, plain(tagged.item))
        case value:
            return value


def refused(data: bytes, at: int = 0) -> MalformedError:
    with pytest.raises(MalformedError) as caught:
        cbor.decode(data, "thing", at=at)
    assert caught.value.what == "thing"
    return caught.value


# RFC 8949, appendix A: the examples that are part of what is read here.
@pytest.mark.parametrize(
    ("encoded", "value"),
    [
        ("00", 0),
        ("17", 23),
        ("1818", 24),
        ("1903e8", 1000),
        ("1a000f4240", 1_000_000),
        ("1b000000e8d4a51000", 1_000_000_000_000),
        ("1bffffffffffffffff", 2**64 - 1),
        ("20", -1),
        ("3863", -100),
        ("3903e7", -1000),
        ("3bffffffffffffffff", -(2**64)),
        ("f6", None),
        ("40", b""),
        ("4401020304", b"\1\2\3\4"),
        ("60", ""),
        ("6449455446", "IETF"),
        ("62c3bc", "\u00fc"),
        ("80", []),
        ("8301820203820405", [1, [2, 3], [4, 5]]),
        ("a0", {}),
        ("a201020304", {1: 2, 3: 4}),
        ("a26161016162820203", {"a": 1, "b": [2, 3]}),
        ("c11a514b67b0", nitro.Tag(1, 1363896240)),
        ("81818100", [[[0]]]),
        ("a100a100a10000", {0: {0: {0: 0}}}),
        ("bfff", {}),
        ("bf61610161629f0203ffff", None),  # an indefinite array inside: refused below
    ],
)
def test_the_rfc_s_examples(encoded: str, value: Any) -> None:
    data = bytes.fromhex(encoded)
    if "9f" in encoded:
        assert refused(data).offset == 6
    else:
        assert plain(cbor.decode(data, "thing")) == value


@pytest.mark.parametrize(
    ("encoded", "offset", "detail"),
    [
        ("", 0, "ends inside an item: 0 bytes left of 1"),
        ("1817", 0, "spells 23 in 1 bytes, want the shortest form"),
        ("1900ff", 0, "spells 255 in 2 bytes, want the shortest form"),
        ("1a0000ffff", 0, "spells 65535 in 4 bytes, want the shortest form"),
        ("1b00000000ffffffff", 0, "spells 4294967295 in 8 bytes, want the shortest form"),
        ("19ff", 1, "ends inside a length or integer: 1 bytes left of 2"),
        ("1c", 0, "has a length of the form 28, want a definite one"),
        ("5f4101ff", 0, "has a length of the form 31, want a definite one"),
        ("7f6161ff", 0, "has a length of the form 31, want a definite one"),
        ("9fff", 0, "has a length of the form 31, want a definite one"),
        ("4201", 1, "ends inside a byte string: 1 bytes left of 2"),
        ("5bffffffffffffffff", 9, f"ends inside a byte string: 0 bytes left of {2**64 - 1}"),
        ("6161ff", 2, "has 1 bytes behind its end"),
        ("81820061ff", 3, "has a text string that is not UTF-8"),
        ("8201", 1, "ends inside an array: 1 bytes left for 2 items"),
        ("a101", 1, "ends inside a map: 1 bytes left for 2 items"),
        ("9bffffffffffffffff", 9, f"ends inside an array: 0 bytes left for {2**64 - 1} items"),
        ("a201020103", 3, "has the map key '1' twice"),
        ("bf01020103ff", 3, "has the map key '1' twice"),
        ("bf0102", 3, "ends inside an item: 0 bytes left of 1"),
        ("bf01ff", 2, "has the simple value or float 0xff, want null at most"),
        ("a1410102", 1, "has a map key that is no integer and no text"),
        ("a1f602", 1, "has a map key that is no integer and no text"),
        ("f4", 0, "has the simple value or float 0xf4, want null at most"),
        ("f5", 0, "has the simple value or float 0xf5, want null at most"),
        ("f7", 0, "has the simple value or float 0xf7, want null at most"),
        ("f93c00", 0, "has the simple value or float 0xf9, want null at most"),
        ("8181818100", 4, "is nested deeper than 4 levels"),
        ("c1c1c1c100", 4, "is nested deeper than 4 levels"),
        ("a100a100a100a10000", 7, "is nested deeper than 4 levels"),
        ("a1a1a1a10000000000", 4, "is nested deeper than 4 levels"),
        ("0000", 1, "has 1 bytes behind its end"),
    ],
)
def test_malformed_says_where(encoded: str, offset: int, detail: str) -> None:
    error = refused(bytes.fromhex(encoded), at=100)
    assert (error.offset, error.detail) == (100 + offset, detail)


def test_the_number_of_items_is_capped() -> None:
    full = [0] * (cbor.MAX_ITEMS - 1)
    assert plain(cbor.decode(nitro.cbor(full), "thing")) == full
    assert "more than 128 items" in refused(nitro.cbor([*full, 0])).detail


def test_a_foreign_key_is_shown_short() -> None:
    assert len(refused(nitro.head(5, 2) + 2 * (nitro.cbor("k" * 5000) + b"\0")).detail) < 100


@pytest.mark.parametrize(
    ("read", "right", "wrong"),
    [
        (cbor.unsigned, 0, (-1, b"", "", None, [], {})),
        (cbor.byte_string, b"x", (1, "x", None, [], {})),
        (cbor.text_string, "x", (1, b"x", None, [], {})),
        (cbor.array, [], (1, b"", "", None, {})),
        (cbor.mapping, {}, (1, b"", "", None, [])),
    ],
)
def test_a_field_of_another_type_is_named(read: Any, right: Any, wrong: tuple[Any, ...]) -> None:
    assert read(cbor.decode(nitro.cbor(right), "thing"), "thing", "field") in (right, ())
    for value in wrong:
        with pytest.raises(MalformedError, match=r"thing at byte 3: field is not an? ") as caught:
            read(cbor.decode(nitro.cbor(value), "thing", at=3), "thing", "field")
        assert caught.value.offset == 3


LEAVES = st.none() | st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=40) | st.text(max_size=20)
KEYS = st.integers(-(2**64), 2**64 - 1) | st.text(max_size=10)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_what_is_read_was_written_so(value: Any) -> None:
    data = nitro.cbor(value)
    try:
        found = plain(cbor.decode(data, "thing"))
    except MalformedError as error:
        assert "nested deeper" in error.detail
    else:
        assert found == value
        assert nitro.cbor(found) == data


@given(st.binary(max_size=200))
def test_any_bytes_are_read_one_way_or_refused(data: bytes) -> None:
    try:
        found = cbor.decode(data, "thing")
    except MalformedError as error:
        assert error.offset is not None
        assert error.offset <= len(data)
    else:
        if b"\xbf" not in data:
            assert nitro.cbor(plain(found)) == data
