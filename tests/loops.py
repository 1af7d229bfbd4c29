"""The event loops that are installed, and which files of asynchronous tests run on each of them.

A conftest.py above such a file says `pytest_asyncio_loop_factories = loops.of`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest

from runtime import event_loop

ON_EACH = frozenset({"test_transport.py", "test_transport_strangers.py", "test_supervisor.py"})
Factory = Callable[[], asyncio.AbstractEventLoop]


def installed() -> dict[str, Factory]:
    """Return the standard loop and, where it is there, the one of the extra `speed`."""
    fast = event_loop.factory()
    return {"asyncio": asyncio.SelectorEventLoop} | ({} if fast is None else {"uvloop": fast})


def of(item: pytest.Item) -> Mapping[str, Factory]:
    """Return the loops of one test."""
    every = installed()
    return every if item.path.name in ON_EACH else {"asyncio": every["asyncio"]}
