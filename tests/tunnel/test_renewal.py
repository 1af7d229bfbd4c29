"""When a session has to attest again."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, cast

from runtime.channel.party import Party
from runtime.channel.session import Session
from runtime.limits import Limits
from runtime.tunnel.renewal import SOONEST_S, due_in

NOW = 1_800_000_000


@dataclass
class Peer:
    endorsed_until: int


@dataclass
class Standing:
    """As much of a session, and of a party's clock, as the rule looks at."""

    attested_at: float
    peer: Peer
    limits: Limits = field(default_factory=Limits)

    def now(self) -> int:
        return NOW

    @property
    def clock(self) -> Standing:
        return self


def due(*, age_s: float, endorsed_s: int) -> float:
    standing: Any = Standing(time.monotonic() - age_s, Peer(NOW + endorsed_s))
    return due_in(cast("Session", standing), cast("Party", standing))


def test_by_the_interval() -> None:
    assert abs(due(age_s=600, endorsed_s=10**6) - (Limits().reattest_s - 600)) < 1


def test_by_the_endorsements_when_they_end_sooner() -> None:
    assert due(age_s=600, endorsed_s=100) == 100


def test_what_is_overdue_is_due_soon_and_not_in_a_loop() -> None:
    assert due(age_s=10 * Limits().reattest_s, endorsed_s=10**6) == SOONEST_S
    assert due(age_s=0, endorsed_s=-50) == SOONEST_S
