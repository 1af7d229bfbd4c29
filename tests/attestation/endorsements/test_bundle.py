"""A bundle's one form: written, read, and everything that is none."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.attestation.endorsements import bundle as subject
from runtime.attestation.endorsements.bundle import Bundle
from runtime.errors import MalformedError

ONE = Bundle(made_at=1_800_000_000, items={"amd_kds crl /vcek/v1/Milan/crl": b"list", "b": b"\xff"})


def test_what_was_written_is_read() -> None:
    data = subject.write(ONE)
    assert subject.read(data) == ONE
    assert subject.write(subject.read(data)) == data


def changed(**changes: Any) -> bytes:
    return json.dumps(json.loads(subject.write(ONE)) | changes).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"7",
        b"{}",
        changed(kind="tunnel-endorsements-v2"),
        changed(made_at="yesterday"),
        changed(made_at=7),
        changed(more=1),
        changed(items={}.keys().__len__()),
        changed(items=[7]),
        changed(items=[{}]),
        changed(items=[{"key": "a", "body": "eA==", "more": 1}]),
        changed(items=[{"key": 7, "body": "eA=="}]),
        changed(items=[{"key": "a", "body": "!"}]),
        changed(items=[{"key": "a", "body": ""}]),
        changed(items=[{"key": "a", "body": "eA=="}] * 2),
        changed(items=[{"key": str(n), "body": "eA=="} for n in range(subject.MAX_ITEMS + 1)]),
    ],
)
def test_what_is_none_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        subject.read(data)


def test_a_large_file_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "MAX_BUNDLE_SIZE", 10)
    with pytest.raises(MalformedError, match="at most 10"):
        subject.read(subject.write(ONE))


@given(st.binary(max_size=64))
def test_any_bytes_are_a_bundle_or_our_error(data: bytes) -> None:
    with contextlib.suppress(MalformedError):
        subject.read(data)
