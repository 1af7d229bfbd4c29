"""Which session gets the next stream of a hostname: round robin, exact before wildcard. Pure.

A queue per pattern: whoever is picked goes to its end, whoever is added starts there. So among
sessions that are present all the time the counts never differ by more than one, whatever others do.
"""

from __future__ import annotations

import re
from collections import deque
from typing import NewType

from runtime.errors import MalformedError, TunnelError

SessionId = NewType("SessionId", bytes)  # 16 bytes

_LABEL = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"  # letters, digits, hyphen, and the underscore that real names use
_HOSTNAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
# Such a last label means an IPv4 address: WHATWG URL §3.5.
_NUMERIC = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")


class NoRouteError(TunnelError):
    """No session offers this hostname now."""

    exit_status = 30
    code = "no_route"


def normal_hostname(text: str) -> str:
    """Return the one spelling of a hostname: lower case, no final dot. Raises MalformedError."""
    name = text.lower().removesuffix(".")
    # ASCII is asked of the text as it came: lower() turns the Kelvin sign into a plain k.
    if not text.isascii() or len(name) > 253 or not _HOSTNAME.fullmatch(name) or _NUMERIC.fullmatch(name):
        raise MalformedError("hostname", "not a hostname of at most 253 letters, digits, hyphens and dots")
    return name


def normal_pattern(text: str) -> str:
    """Return the one spelling of a hostname or of `*.hostname`. Raises MalformedError."""
    if text.startswith("*."):
        return "*." + normal_hostname(text[2:])
    return normal_hostname(text)


def patterns_of(hostname: str) -> tuple[str, ...]:
    """List the patterns that match a normal hostname, best first. A wildcard stands for one label."""
    _, dot, parent = hostname.partition(".")
    return (hostname, f"*.{parent}") if dot else (hostname,)


class Router:
    """The sessions that offer each pattern, in the order in which they are due."""

    def __init__(self) -> None:
        self._due: dict[str, deque[SessionId]] = {}
        self._offers: dict[SessionId, frozenset[str]] = {}

    def offer(self, session: SessionId, patterns: frozenset[str]) -> None:
        """Set what a session offers, nothing at its end; keeps its turn for what it offered before."""
        before = self._offers.get(session, frozenset())
        for pattern in sorted(before - patterns):
            self._leave(session, pattern)
        for pattern in sorted(patterns - before):
            self._due.setdefault(pattern, deque()).append(session)
        if patterns:
            self._offers[session] = patterns
        else:
            self._offers.pop(session, None)

    @property
    def serving(self) -> bool:
        """Tell whether any session offers anything."""
        return bool(self._offers)

    def sessions(self, hostname: str) -> int:
        """Count the sessions among which `pick` chooses."""
        return len(self._queue(hostname))

    def pick(self, hostname: str) -> SessionId:
        """Choose the session for the next stream of a normal hostname. Raises NoRouteError."""
        queue = self._queue(hostname)
        if not queue:
            raise NoRouteError("no session offers this hostname")
        session = queue[0]
        queue.rotate(-1)
        return session

    def _queue(self, hostname: str) -> deque[SessionId]:
        for pattern in patterns_of(hostname):
            queue = self._due.get(pattern)
            if queue:
                return queue
        return deque()

    def _leave(self, session: SessionId, pattern: str) -> None:
        queue = self._due[pattern]
        queue.remove(session)
        if not queue:
            del self._due[pattern]
