"""A status says what became of the last session, and what is granted only while one lasts."""

from __future__ import annotations

import time
from typing import Any, cast

import pytest

from runtime.errors import PeerError
from runtime.tunnel.status import Status


@pytest.mark.parametrize(("state", "kept"), [("draining", True), ("waiting", False), ("connecting", False)])
def test_what_was_granted_ends_with_the_session(state: str, kept: bool) -> None:
    status = Status(address="192.0.2.1", peer=cast("Any", object()), granted=("app.test",))
    before = time.monotonic()
    status.change("established")
    assert status.since >= before
    status.change(state)
    assert (status.state, bool(status.granted), status.peer is not None) == (state, kept, kept)


def test_failures_are_counted_by_code_and_the_first_cause_is_named() -> None:
    status = Status(address="192.0.2.1")
    silent = PeerError("silent", "no answer")
    assert status.failed(ExceptionGroup("all", [ExceptionGroup("more", [silent]), ValueError("other")])) == {
        "address": "192.0.2.1",
        "code": "silent",
        "detail": str(silent),
    }
    assert status.failed(ZeroDivisionError("ours"))["code"] == "internal"
    assert (status.failures, status.last_error) == ({"silent": 1, "internal": 1}, "ours")
