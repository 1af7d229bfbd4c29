"""Strangers' connections, bounded in all and by address: whoever has most loses his oldest. Pure.

A flood from one address pushes out that address's own connections, never a member's from elsewhere.
"""

from __future__ import annotations

import ipaddress
from typing import Generic, TypeVar

One = TypeVar("One")


def place_of(address: str) -> str:
    """Return what counts as one address: an IPv4 address, or the /64 that one IPv6 host can use."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed.packed[:8] + bytes(8), 64)))


class Crowd(Generic[One]):
    """Connections in the order in which they came, by place."""

    def __init__(self, *, most: int, most_per_place: int) -> None:
        self._most, self._most_per_place = most, most_per_place
        self._of: dict[One, str] = {}
        self._at: dict[str, dict[One, None]] = {}

    def __len__(self) -> int:
        return len(self._of)

    def __contains__(self, one: object) -> bool:
        return one in self._of

    def add(self, one: One, address: str) -> One | None:
        """Take one in; returns the one that has to go for it, which is forgotten already."""
        place = place_of(address)
        here = self._at.get(place, {})
        gone: One | None = None
        if len(here) >= self._most_per_place:
            gone = next(iter(here))
        elif len(self._of) >= self._most:
            fullest = max(self._at.values(), key=len)
            gone = next(iter(fullest))
        if gone is not None:
            self.discard(gone)
        self._of[one] = place
        self._at.setdefault(place, {})[one] = None
        return gone

    def discard(self, one: One) -> None:
        """Forget one: it is no stranger any more, or it is gone."""
        place = self._of.pop(one, None)
        if place is not None:
            del self._at[place][one]
            if not self._at[place]:
                del self._at[place]

    def all(self) -> tuple[One, ...]:
        """List everybody, in the order in which they came."""
        return tuple(self._of)
