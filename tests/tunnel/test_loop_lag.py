"""A blocked loop is seen, an idle one is not."""

from __future__ import annotations

import asyncio
import time

from runtime.tunnel.loop_lag import LoopLag
from tests.tunnel.conftest import Run


def test_a_blocked_loop_is_seen_once(run: Run) -> None:
    async def main() -> None:
        lag = LoopLag(asyncio.get_running_loop())
        lag.start()
        await asyncio.sleep(0)
        time.sleep(0.5)  # noqa: ASYNC251 - blocks the loop on purpose
        await asyncio.sleep(0.05)
        assert 0.3 <= lag.take() <= 20
        assert lag.take() == 0.0
        lag.stop()
        lag.stop()

    run(main())
