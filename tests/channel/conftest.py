"""One fleet for all of the channel's tests: making its keys takes two seconds."""

from __future__ import annotations

import pytest

from tests import loops
from tests.channel import parties
from tests.channel.parties import World
from tests.fakes.amd import FakeAmd

pytest_asyncio_loop_factories = loops.of


@pytest.fixture(scope="session")
def world(amd: FakeAmd) -> World:
    return parties.world(amd)
