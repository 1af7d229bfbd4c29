"""TPMS_ATTEST: read exactly, or refused with the field and its offset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.attestation.tees.tpm import attest
from runtime.errors import MalformedError
from tests.fakes import tpm
from tests.fakes.tpm import FakeQuote

VALUES = {4: b"\x04" * 32, 14: b"\x0e" * 32}
RIGHT = FakeQuote(values=VALUES, clock=7, reset_count=3, restart_count=2)


def test_every_field_is_read() -> None:
    found = attest.parse(RIGHT.message)
    assert found == attest.Quote(
        signed=RIGHT.message,
        qualified_signer=RIGHT.qualified_signer,
        qualifying_data=RIGHT.qualifying_data,
        clock=7,
        reset_count=3,
        restart_count=2,
        safe=True,
        firmware_version=RIGHT.firmware_version,
        selections=(attest.Selection(bank=attest.SHA256, registers=frozenset({4, 14})),),
        pcr_digest=tpm.pcr_digest(VALUES),
    )
    assert attest.parse(replace(RIGHT, safe=0).message).safe is False


@pytest.mark.parametrize(
    ("changes", "text", "offset"),
    [
        ({"magic": 0xFF544346}, "magic", 0),
        ({"kind": 0x8017}, "type is 0x8017", 4),
        ({"qualified_signer": bytes(67)}, "qualifiedSigner.size is 67", 6),
        ({"qualifying_data": bytes(67)}, "extraData.size is 67", 42),
        ({"safe": 2}, "safe is 2", 92),
        ({"selections": (tpm.selection([0]),) * 17}, "pcrSelect.count is 17", 101),
        ({"selections": (tpm.selection([0], size=5),)}, "sizeofSelect is 5", 107),
        ({"selections": (b"\x00\x0b\x00",)}, "sizeofSelect is 0", 107),
        ({"selections": (tpm.selection([24], size=4),)}, "above 23", 107),
        ({"digest": bytes(65)}, "pcrDigest.size is 65", 111),
        ({"trailing": b"\0"}, "1 bytes behind", 145),
    ],
)
def test_what_is_no_quote_is_refused(changes: Mapping[str, Any], text: str, offset: int) -> None:
    with pytest.raises(MalformedError, match=text) as refusal:
        attest.parse(replace(RIGHT, **changes).message)
    assert refusal.value.offset == offset


@pytest.mark.parametrize(
    "changes",
    [
        {"qualified_signer": bytes(66)},
        {"qualifying_data": bytes(66)},
        {"digest": bytes(64)},
        {"selections": (tpm.selection([0]),) * 16},
        {"selections": (tpm.selection([0], size=1),)},
        {"selections": (tpm.selection([0, 23], size=4),)},
    ],
)
def test_the_largest_that_the_specification_allows_is_read(changes: Mapping[str, Any]) -> None:
    wanted = replace(RIGHT, **changes)
    found = attest.parse(wanted.message)
    assert (found.qualified_signer, found.qualifying_data) == (
        wanted.qualified_signer,
        wanted.qualifying_data,
    )
    assert len(found.selections) == len(changes.get("selections", [VALUES]))
    assert len(found.pcr_digest) == len(changes.get("digest", bytes(32)))


def test_digests_are_of_the_registry_s_sizes() -> None:
    # TCG Algorithm Registry 1.34, table 3, and FIPS 180-4: numbers that nobody may change.
    assert attest.DIGEST_BYTES == {0x0004: 20, 0x000B: 32, 0x000C: 48, 0x000D: 64}
    assert attest.BANK_NAMES == {0x0004: "sha1", 0x000B: "sha256", 0x000C: "sha384", 0x000D: "sha512"}


def test_limits_come_before_reading() -> None:
    with pytest.raises(MalformedError, match="want at most 1024"):
        attest.parse(bytes(1025))
    with pytest.raises(MalformedError, match="magic"):
        attest.parse(bytes(1024))


@given(st.integers(0, len(RIGHT.message) - 1))
def test_every_shorter_message_is_refused(size: int) -> None:
    with pytest.raises(MalformedError):
        attest.parse(RIGHT.message[:size])


@given(st.binary(max_size=300))
def test_nothing_but_our_error_comes_out(tail: bytes) -> None:
    for data in (tail, RIGHT.message[:42] + tail):
        try:
            attest.parse(data)
        except MalformedError:
            continue
