"""The status in words; that it arrives: tests/localfleet_tests/test_owner_commands.py."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.commands import status

STATUS: dict[str, Any] = {
    "member": "server-1",
    "role": "server",
    "uptime_s": 3725.5,
    "versions": {"tunnel": "0.1.0", "python": "3.11.2"},
    "fleet_document": {"version": 4, "sha256": "ab" * 32, "purpose": "test", "expires_at": 1_800_000_000},
    "streams": 12,
    "sessions": [
        {"member": "client-1", "address": "127.0.0.1", "grade": "T", "age_s": 61, "granted": ["app.test"]},
        {"member": None, "address": "127.0.0.9", "state": "waiting", "last_error": "no", "age_s": 5},
    ],
}


def test_everything_that_matters_is_said() -> None:
    text = "\n".join(status.sentences("127.0.0.1", "T", STATUS))
    for words in (
        "server-1 (server), grade T, reached by 127.0.0.1",
        "up 1 h 2 min, tunnel 0.1.0, python 3.11.2",
        "fleet document 4 (abababababababab…) until 2027-01-15T08:00:00Z",
        "12 streams open",
        "2 sessions",
        "client-1 at 127.0.0.1, grade T, 1 min 1 s old: app.test",
        "nobody yet (waiting: no) at 127.0.0.9",
    ):
        assert words in text


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"sessions": 5, "versions": [], "fleet_document": {"missing": "ended"}, "uptime_s": "x"},
        {"sessions": [3, None, {}], "too_large": 9},
    ],
)
def test_whatever_a_member_says_is_shown_without_a_fault(said: dict[str, Any]) -> None:
    assert status.sentences("a", "T", said)
