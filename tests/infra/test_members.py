"""One entry may stand for several machines; what a copy changes is its number and where it listens."""

from __future__ import annotations

import pytest

from infra.members import ADMIN, shifted_address, shifted_socket


@pytest.mark.parametrize(
    ("address", "steps", "expected"),
    [
        ("0.0.0.0", 3, "0.0.0.0"),
        ("::", 3, "::"),
        ("127.0.0.11", 64, "127.0.0.75"),
        ("127.0.0.250", 10, "127.0.1.4"),
        ("fd00::1", 1, "fd00::2"),
        ("999.0.0.1", 1, "999.0.0.1"),
    ],
)
def test_an_address_of_a_machine_counts_on(address: str, steps: int, expected: str) -> None:
    assert shifted_address(address, steps) == expected


def test_the_usual_admin_socket_is_every_machines_own() -> None:
    assert shifted_socket(ADMIN, 5) == ADMIN
    assert shifted_socket("127.0.0.2:9443", 1) == "127.0.0.3:9443"
    assert shifted_socket("[::1]:9443", 1) == "[::2]:9443"
    assert shifted_socket("127.0.0.2:9443", 0) == "127.0.0.2:9443"
