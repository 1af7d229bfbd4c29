"""Restart servers and clients one after the other under load, and count what new connections met. I/O.

Visitors do what browsers do and nothing more: a *refused* connection sends them to the next address. A reset,
a timeout, a TLS alert, another status or a short body is a failure.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from runtime.documents import times
from runtime.errors import UnreachableError
from runtime.limits import Limits
from runtime.tunnel import resolve
from tests.localfleet.fleet import LocalFleet
from tests.localfleet.provision import SITE
from tests.tunnel.rig import visitor_tls

VISITORS = 6
PATIENCE_S = 20.0
PAUSE_S = 0.01
DRAIN_S = 40.0  # `drain_s` and the time to leave
_REQUEST = f"GET /who HTTP/1.1\r\nHost: {SITE}\r\nConnection: close\r\n\r\n".encode()


@dataclass(slots=True)
class Met:
    """What new connections went through."""

    answered: int = 0
    refused: int = 0  # and served by the next address
    failures: list[str] = field(default_factory=list[str])
    slowest_s: float = 0.0
    by_server: Counter[str] = field(default_factory=Counter[str])


async def visit(port: int, addresses: list[str], met: Met) -> None:
    """Make one new connection and one request."""
    started = time.monotonic()
    for address in addresses:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await _ask(address, port)
        except ConnectionRefusedError:
            met.refused += 1
            continue
        except Exception as error:  # noqa: BLE001 - whatever it is, a visitor saw it
            met.failures.append(f"{address}: {type(error).__name__}: {error}")
        else:
            met.answered += 1
            met.by_server[address] += 1
            met.slowest_s = max(met.slowest_s, time.monotonic() - started)
        return
    met.failures.append("every address refused")


async def _ask(address: str, port: int) -> None:
    reader, writer = await asyncio.open_connection(address, port, ssl=visitor_tls(), server_hostname=SITE)
    try:
        writer.write(_REQUEST)
        answer = await reader.read(-1)
    finally:
        writer.transport.abort()
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 ") or not json.loads(body)["origin"]:
        message = f"answered {answer[:60]!r}"
        raise RuntimeError(message)


class Cache:
    """The site's addresses as a visitor's machine keeps them: asked again when their TTL has passed."""

    def __init__(self, resolver: tuple[str, int]) -> None:
        self._resolver = resolver
        self._until = 0.0
        self._addresses: tuple[str, ...] = ()

    async def addresses(self, turn: int) -> list[str]:
        """Return them, another one first each turn. Raises: UnreachableError."""
        now = time.monotonic()
        if now >= self._until:
            answer = await resolve.resolve(SITE, self._resolver, Limits())
            self._addresses, self._until = answer.addresses, now + answer.ttl_s
        first = turn % len(self._addresses)
        return [*self._addresses[first:], *self._addresses[:first]]


async def load(fleet: LocalFleet, stop: asyncio.Event, met: Met, pause_s: float = PAUSE_S) -> None:
    """Visitors, each always making a new connection, until told to stop."""
    port, resolver = fleet.made.ports.visitors, ("127.0.0.1", fleet.made.ports.dns)

    async def one(turn: int) -> None:
        cache = Cache(resolver)
        while not stop.is_set():
            turn += 1
            try:
                await visit(port, await cache.addresses(turn), met)
            except UnreachableError as error:
                met.failures.append(str(error))
            await asyncio.sleep(pause_s)

    await asyncio.gather(*(one(turn) for turn in range(VISITORS)))


async def restart(fleet: LocalFleet, name: str) -> float:
    """Drain one member, start it again, wait for all of its sessions; returns the seconds of its drain."""
    member = fleet.members[name]
    started = time.monotonic()
    await member.terminate(DRAIN_S)
    drained = time.monotonic() - started
    await member.start()
    await fleet.whole()  # who is back is back everywhere
    return drained


async def roll(fleet: LocalFleet, names: list[str]) -> tuple[Met, list[float]]:
    """Restart each of `names` in turn under load."""
    stop, met = asyncio.Event(), Met()
    loading = asyncio.create_task(load(fleet, stop, met))
    drains: list[float] = []
    try:
        await asyncio.sleep(0.3)
        for name in names:
            drains.append(await restart(fleet, name))
        await asyncio.sleep(0.3)
    finally:
        stop.set()
        await loading
    return met, drains


def in_turn(names: Any, rounds: int) -> list[str]:
    """List `rounds` members, each in its turn."""
    every = list(names)
    return [every[turn % len(every)] for turn in range(rounds)]


async def soak(fleet: LocalFleet, rounds: int, now: int) -> bool:
    """Roll servers, then clients, `rounds` times each; prints the figures, returns whether nothing failed."""
    well = True
    for what, names in (("servers", fleet.servers), ("clients", fleet.clients)):
        met, drains = await roll(fleet, in_turn(names, rounds))
        well = well and not met.failures
        print(
            f"{times.show(now)} {rounds} restarts of {what}: {met.answered} new connections answered, "
            f"{met.refused} refusals passed on, {len(met.failures)} failed; slowest {met.slowest_s:.2f} s; "
            f"drains {min(drains):.2f} to {max(drains):.2f} s",
            flush=True,
        )
        for failure in met.failures[:10]:
            print(f"  {failure}", file=sys.stderr)
    return well
