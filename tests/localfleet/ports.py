"""Ports that a local fleet may have, claimed so that two fleets on one machine never want the same. I/O.

A port that was looked at, found free and let go again may be somebody else's by the time a member listens.
"""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field, replace

from infra.members import GENERATION_STEP

MOST_SERVERS = 12
CLAIMED_ON = "127.0.0.10"  # nobody listens here: who holds a port on it has claimed it for a fleet
_FIRST = range(11, 11 + MOST_SERVERS)  # servers' addresses, 127.0.0.N
HOSTS = (
    "127.0.0.1",
    f"127.0.0.{1 + GENERATION_STEP}",  # admin listeners of the second generation
    *(f"127.0.0.{number + step}" for step in (0, GENERATION_STEP) for number in _FIRST),
)
_DOCUMENTED = (8443, 7443, 7444)  # visitors, sessions, data
_CHOSEN_FROM = range(10_000, 32_000)  # below what the kernel gives to connections and to port 0
_TRIES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Ports of the neighbours on 127.0.0.1, and of every server on its own address."""

    dns: int
    publisher: int
    visitors: int
    sessions: int
    data: int
    admin: dict[str, int]
    claims: tuple[socket.socket, ...] = field(repr=False)

    def more(self, names: Iterable[str]) -> Ports:
        """Claim an admin port for each of these members as well."""
        with _claiming() as claims:
            added = {name: _claim(claims) for name in names if name not in self.admin}
            return replace(self, admin={**self.admin, **added}, claims=(*self.claims, *claims))

    def close(self) -> None:
        """Let others have them."""
        for claim in self.claims:
            claim.close()


def claim(names: Iterable[str], *, documented: bool = False) -> Ports:
    """Claim ports for a fleet whose members have these names; `documented` prefers those that docs name."""
    with _claiming() as claims:
        visitors, sessions, data = (_claim(claims, port if documented else None) for port in _DOCUMENTED)
        return Ports(
            dns=_claim(claims),
            publisher=_claim(claims),
            visitors=visitors,
            sessions=sessions,
            data=data,
            admin={name: _claim(claims) for name in names},
            claims=tuple(claims),
        )


@contextlib.contextmanager
def _claiming() -> Generator[list[socket.socket]]:
    """Claim all that is wanted, or keep nothing."""
    claims: list[socket.socket] = []
    try:
        yield claims
    except BaseException:
        for claim in claims:
            claim.close()
        raise


def _claim(claims: list[socket.socket], wanted: int | None = None) -> int:
    chosen = random.SystemRandom().sample(_CHOSEN_FROM, _TRIES)
    for port in chosen if wanted is None else (wanted, *chosen):
        one = socket.socket()
        try:
            one.bind((CLAIMED_ON, port))
        except OSError:
            one.close()
            continue
        if all(_is_free(host, port) for host in HOSTS):
            claims.append(one)
            return port
        one.close()
    raise RuntimeError("no port is free on " + ", ".join(HOSTS))


def _is_free(host: str, port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(type=kind) as one:
            try:
                one.bind((host, port))
            except OSError:
                return False
    return True
