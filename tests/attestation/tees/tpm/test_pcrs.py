"""Register values on the wire: one spelling, one bank."""

from __future__ import annotations

from hashlib import sha256, sha384

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.attestation.tees.tpm import attest, pcrs
from runtime.attestation.tees.tpm.pcrs import PcrValues
from runtime.errors import MalformedError

VALUES = PcrValues(bank=attest.SHA256, values={14: b"\x0e" * 32, 4: b"\x04" * 32})


def test_there_and_back() -> None:
    data = pcrs.encode(VALUES)
    assert data == bytes.fromhex("000b104000") + b"\x04" * 32 + b"\x0e" * 32
    assert pcrs.parse(data) == VALUES
    assert VALUES.bank_name == "sha256"


def test_the_largest_bank_whole() -> None:
    whole = PcrValues(bank=0x000D, values={index: bytes([index]) * 64 for index in range(24)})
    assert (len(pcrs.encode(whole)), pcrs.parse(pcrs.encode(whole))) == (1541, whole)


def test_the_digest_is_over_ascending_registers() -> None:
    joined = b"\x04" * 32 + b"\x0e" * 32
    assert VALUES.digest(attest.SHA256) == sha256(joined).digest()
    assert VALUES.digest(attest.SHA384) == sha384(joined).digest()


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (bytes.fromhex("0012010000") + bytes(32), "bank is 0x0012"),
        (bytes.fromhex("000b000000"), "selects none"),
        (bytes.fromhex("000b010000") + bytes(31), "PCR 0 needs 32"),
        (bytes.fromhex("000b010000") + bytes(33), "1 bytes behind"),
        (bytes(1542), "is 1542 bytes, want at most 1541"),
        (bytes(1541), "bank is 0x0000"),
    ],
)
def test_what_is_wrong_is_refused(data: bytes, text: str) -> None:
    with pytest.raises(MalformedError, match=text):
        pcrs.parse(data)


@pytest.mark.parametrize(
    ("bank", "values", "text"),
    [
        (0x12, {0: bytes(32)}, "bank is 0x0012"),
        (attest.SHA256, {}, "name no register"),
        (attest.SHA256, {0: bytes(31)}, "PCR 0 has 31"),
        (attest.SHA256, {24: bytes(32)}, "PCR 24"),
        (attest.SHA256, {-1: bytes(32)}, "PCR -1"),
    ],
)
def test_no_value_can_be_made_that_is_wrong(bank: int, values: dict[int, bytes], text: str) -> None:
    with pytest.raises(MalformedError, match=text):
        PcrValues(bank=bank, values=values)


@given(st.dictionaries(st.integers(0, 23), st.binary(min_size=48, max_size=48), min_size=1))
def test_any_values_round_trip(values: dict[int, bytes]) -> None:
    made = PcrValues(bank=attest.SHA384, values=values)
    assert pcrs.parse(pcrs.encode(made)) == made


@given(st.binary(max_size=200))
def test_nothing_but_our_error_comes_out(data: bytes) -> None:
    try:
        assert pcrs.encode(pcrs.parse(data)) == data
    except MalformedError:
        return
