"""A scene per test, on the event loop that production uses when it is installed."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.visitors.scene import Scene, opened


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncGenerator[Scene]:
    """A worker and a tunnel client on 127.0.0.1 that publish nothing yet."""
    async with opened(tmp_path) as made:
        yield made
