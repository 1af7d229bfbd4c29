"""Visitors and what they saw: many at once, with counts. I/O."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from runtime.errors import TunnelError
from tests.localfleet.visitor import Visitor

VISITORS = 8


@dataclass(slots=True)
class Tally:
    """What a group of visitors went through."""

    answered: int = 0
    failed: int = 0
    retried: int = 0
    by_server: Counter[str] = field(default_factory=Counter[str])
    by_origin: Counter[str] = field(default_factory=Counter[str])
    failures: list[str] = field(default_factory=list)


class Crowd:
    """Eight visitors asking for one site."""

    def __init__(self, *, resolver: tuple[str, int], ca: Path, port: int, site: str) -> None:
        self._resolver, self._ca, self._port, self._site = resolver, ca, port, site

    async def ask_each_on_its_own_connection(self, requests: int) -> Tally:
        """Ask `requests` times in all; DNS and a new TLS connection each time."""
        tally, left = Tally(), [requests]

        async def one() -> None:
            async with self._visitor(keep_alive=False) as visitor:
                while left[0] > 0:
                    left[0] -= 1
                    await self._ask(visitor, tally)

        await asyncio.gather(*(one() for _ in range(VISITORS)))
        return tally

    async def ask_until(self, stop: asyncio.Event, pause_s: float = 0.02) -> Tally:
        """Ask over kept-alive connections, as a browser with an open page does, until told to stop."""
        tally = Tally()

        async def one() -> None:
            async with self._visitor(keep_alive=True) as visitor:
                while not stop.is_set():
                    await self._ask(visitor, tally)
                    await asyncio.sleep(pause_s)

        await asyncio.gather(*(one() for _ in range(VISITORS)))
        return tally

    def _visitor(self, *, keep_alive: bool) -> Visitor:
        return Visitor(self._resolver, self._ca, self._port, keep_alive=keep_alive)

    async def _ask(self, visitor: Visitor, tally: Tally) -> None:
        before = visitor.counters.retried
        try:
            answer = await visitor.get(self._site, "/who")
        except TunnelError as error:
            tally.failed += 1
            tally.failures.append(str(error))
        else:
            if answer.status == 200:
                tally.answered += 1
                tally.by_server[answer.address] += 1
                tally.by_origin[json.loads(answer.body)["origin"]] += 1
            else:
                tally.failed += 1
                tally.failures.append(f"status {answer.status}")
        tally.retried += visitor.counters.retried - before
