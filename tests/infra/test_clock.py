"""The owner's clock is the machine's."""

from __future__ import annotations

import time

from infra import clock


def test_it_is_unix_time() -> None:
    assert abs(clock.now() - time.time()) < 60
