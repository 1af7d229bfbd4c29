"""Every part of the binder counts, none can slide into its neighbour, and lengths are exact."""

from __future__ import annotations

from hashlib import sha256, sha512
from typing import Any

import pytest

from runtime.attestation.binding import Direction, Label, binder, tied_qualifying, tpm_qualifying
from runtime.errors import MalformedError

RIGHT: dict[str, Any] = {
    "label": Label.CHANNEL,
    "direction": Direction.CLIENT_TO_SERVER,
    "epoch": 7,
    "transcript": b"t" * 32,
    "exporter": b"e" * 32,
    "spki_attester": b"a" * 91,
    "spki_verifier": b"v" * 91,
    "verifier_nonce": b"n" * 32,
    "settings_digest": b"s" * 32,
}


def test_bytes_are_the_written_ones() -> None:
    written = (
        b"\x00\x18tunnel-binder-channel-v1"
        b"\x00\x01\x01"
        b"\x00\x04\x00\x00\x00\x07"
        b"\x00\x20" + b"t" * 32 + b"\x00\x20" + b"e" * 32 + b"\x00\x5b" + b"a" * 91 + b"\x00\x5b" + b"v" * 91
    ) + (b"\x00\x20" + b"n" * 32 + b"\x00\x20" + b"s" * 32)
    assert binder(**RIGHT) == sha512(written).digest()


@pytest.mark.parametrize(
    "change",
    [
        {"label": Label.ENDPOINT},
        {"label": Label.OWNER},
        {"direction": Direction.SERVER_TO_CLIENT},
        {"direction": Direction.OWNER_TO_MEMBER},
        {"epoch": 8},
        {"transcript": b"T" * 32},
        {"exporter": b"E" * 32},
        {"spki_attester": b"v" * 91, "spki_verifier": b"a" * 91},
        {"spki_attester": b"a" * 90, "spki_verifier": b"a" + b"v" * 91},
        {"verifier_nonce": b"N" * 32},
        {"settings_digest": b"S" * 32},
    ],
)
def test_each_part_counts(change: dict[str, Any]) -> None:
    assert binder(**(RIGHT | change)) != binder(**RIGHT)


@pytest.mark.parametrize(
    "change",
    [
        *(
            {name: bytes(size)}
            for name in ("transcript", "exporter", "verifier_nonce", "settings_digest")
            for size in (0, 31, 33, 64)
        ),
        *({name: bytes(size)} for name in ("spki_attester", "spki_verifier") for size in (0, 1025)),
        {"epoch": -1},
        {"epoch": 1 << 32},
    ],
)
def test_nothing_is_padded_or_cut(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        binder(**(RIGHT | change))


def test_a_tpm_carries_the_hash_of_the_binder() -> None:
    value = binder(**RIGHT)
    assert tpm_qualifying(value) == sha256(value).digest()
    with pytest.raises(MalformedError):
        tpm_qualifying(value[:32])


def test_a_tied_nonce_commits_to_label_binder_and_report() -> None:
    value, report = b"b" * 64, b"report"
    written = b"\x00\x11tunnel-tpm-tie-v1" + b"\x00\x40" + value + b"\x00\x20" + sha256(report).digest()
    assert tied_qualifying(value, report) == sha256(written).digest()
    assert (
        len(
            {tied_qualifying(value, report), tied_qualifying(value, b"r"), tied_qualifying(b"c" * 64, report)}
        )
        == 3
    )
    assert tied_qualifying(value, report) != tpm_qualifying(value)
    for size in (0, 63, 65):
        with pytest.raises(MalformedError):
            tied_qualifying(bytes(size), report)


def test_labels_are_those_of_the_protocol() -> None:
    assert {label.name: label.value for label in Label} == {
        "CHANNEL": b"tunnel-binder-channel-v1",
        "ENDPOINT": b"tunnel-binder-endpoint-v1",
        "OWNER": b"tunnel-binder-owner-v1",
    }


def test_directions_are_those_of_the_protocol() -> None:
    assert {direction.name: direction.value for direction in Direction} == {
        "CLIENT_TO_SERVER": 1,
        "SERVER_TO_CLIENT": 2,
        "OWNER_TO_MEMBER": 3,
        "MEMBER_TO_OWNER": 4,
    }


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": 0},
        {"epoch": (1 << 32) - 1},
        {"spki_attester": b"k"},
        {"spki_verifier": b"k" * 1024},
    ],
)
def test_what_is_just_within_its_bounds_is_bound(change: dict[str, Any]) -> None:
    assert len(binder(**(RIGHT | change))) == 64
