"""What is measured, and what it is held against. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Mode = Literal["keep-alive", "new connections", "bulk down", "bulk up"]
Metric = Literal["cpu", "p50", "p99", "kib", "stalled", "slow"]
Head = Literal["tiny", "browser"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One load, run once per round and system."""

    mode: Mode
    connections: int
    head: Head

    @property
    def key(self) -> str:
        return f"{self.mode}, {self.connections}, {self.head}"


def _keep_alive(head: Head, *connections: int) -> tuple[Case, ...]:
    return tuple(Case(mode="keep-alive", connections=count, head=head) for count in connections)


def _bulk(*connections: int) -> tuple[Case, ...]:
    return tuple(
        Case(mode=mode, connections=count, head="tiny")
        for mode in ("bulk down", "bulk up")
        for count in connections
    )


_NEW = Case(mode="new connections", connections=32, head="browser")
CASES = (*_keep_alive("browser", 1, 8, 64, 256), *_keep_alive("tiny", 1, 8, 64, 256), _NEW, *_bulk(1, 16))
QUICK = (*_keep_alive("browser", 1, 8, 64), _NEW, *_bulk(16))


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """`ours` / `peer` in one metric of one case; a peer of None makes it an absolute figure."""

    what: str
    peer: str | None
    metric: Metric
    case: Case | None
    must: float | None  # None: shown beside the others, held to nothing
    aim: float | None


def _case(mode: Mode, connections: int, head: Head = "browser") -> Case:
    return Case(mode=mode, connections=connections, head=head)


def _against(peer: str, case: Case, must: float | None, aim: float | None, metric: Metric = "cpu") -> Target:
    return Target(what=f"{metric}: {case.key}", peer=peer, metric=metric, case=case, must=must, aim=aim)


def _absolute(what: str, metric: Metric, must: float, aim: float) -> Target:
    return Target(what=what, peer=None, metric=metric, case=None, must=must, aim=aim)


TARGETS = (
    _against("frp", _case("keep-alive", 64), 0.70, 0.45),
    _against("nginx stream", _case("keep-alive", 64), 1.1, 0.70),
    _against("ssh -R", _case("keep-alive", 64), 1.0, 0.75),
    _against("ssh -R", _case("keep-alive", 64), 0.25, 0.25, "p99"),
    *(
        _against(peer, _case("keep-alive", count), None, None)
        for count in (1, 8, 256)
        for peer in ("frp", "nginx stream", "ssh -R")
    ),
    _against("nginx stream", _case("keep-alive", 1), 1.4, 1.1, "p50"),
    _against("frp", _NEW, 0.80, 0.55),
    _against("nginx stream", _NEW, None, None),
    _against("ssh -R", _NEW, None, None),
    *(_against("nginx stream", case, 1.35, 1.0) for case in _bulk(1, 16)),
    *(_against("frp", case, 0.65, 0.45) for case in _bulk(1, 16)),
    _absolute("KiB per idle connection, the larger side", "kib", 8, 2),
    _absolute("one slow reader + 16 bulk streams: p99 / p99 unloaded", "slow", 5, 2),
    _absolute("MiB per stalled stream, both sides", "stalled", 2, 1),
)
