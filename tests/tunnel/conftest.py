"""Each test of the data plane runs on every event loop that is installed.

`asyncio` stands for an installation without the extra `speed`: no uvloop, and no aiofastnet either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from runtime.tunnel import data_tls
from tests import loops

Run = Callable[[Coroutine[Any, Any, Any]], Any]

LOOPS = loops.installed()
pytest_asyncio_loop_factories = loops.of


@pytest.fixture(params=list(LOOPS))
def run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a coroutine on one of the event loops, and fail on what its callbacks raised."""
    if request.param == "asyncio":
        monkeypatch.setattr(data_tls, "FAST", False)

    def on_loop(main: Coroutine[Any, Any, Any]) -> Any:
        raised: list[dict[str, Any]] = []

        def on_error(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            # aiofastnet reports a stranger who leaves in the handshake: see `worker._on_loop_error`.
            if context.get("exception") is not ConnectionResetError:
                raised.append(context)

        async def guarded() -> Any:
            asyncio.get_running_loop().set_exception_handler(on_error)
            async with asyncio.timeout(40):
                result = await main
            await asyncio.sleep(0)
            return result

        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            result = runner.run(guarded())
        assert raised == []
        return result

    return on_loop
