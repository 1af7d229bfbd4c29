"""A scene per test on the stock event loop; one fleet, whose processes use uvloop where it is installed."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.localfleet.fleet import LocalFleet
from tests.visitors import whole
from tests.visitors.scene import Scene, opened


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncGenerator[Scene]:
    """A worker and a tunnel client on 127.0.0.1 that publish nothing yet."""
    async with opened(tmp_path) as made:
        yield made


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def fleet(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncGenerator[tuple[LocalFleet, whole.FixedOrder]]:
    """The whole fleet, once per run; a test leaves it as it was."""
    async with whole.running(tmp_path_factory.mktemp("fleet")) as made:
        yield made
