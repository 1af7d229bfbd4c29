"""The loop that is there is taken; without the extra `speed` that is the standard one."""

from __future__ import annotations

import asyncio
import sys
from importlib.util import find_spec

import pytest

from runtime import event_loop


def test_without_the_extra_it_is_the_standard_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert event_loop.factory() is None


@pytest.mark.skipif(find_spec("uvloop") is None, reason="the extra `speed` is not installed")
def test_with_the_extra_it_is_uvloop() -> None:
    with asyncio.Runner(loop_factory=event_loop.factory()) as runner:
        assert type(runner.get_loop()).__module__.startswith("uvloop")
