"""The access log: a line for each visitor's stream when it is over, and for each visitor turned away. I/O.

Both ends of a stream write one with the same request id, which the server drew at random: neither a visitor
nor a client chooses it. Bytes are the stream's own, as they passed through, read from its credit at the end:
nothing is counted on the way. What a visitor could write into a line is a hostname that is one, and protocols
of a closed list; its address is there only on a server whose settings say so.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from typing import Literal

from runtime import logs
from runtime.tunnel.control import Access
from runtime.tunnel.frames import REQUEST_ID, Endpoint, OpenRequest

log = logging.getLogger(logs.ACCESS)

# The ALPN names that visitors have reason to offer; any other is told as "other".
_KNOWN = {name.encode(): name for name in ("h2", "http/1.1", "http/1.0", "h3", "acme-tls/1")}


def new_request_id() -> bytes:
    """Draw a request id: 16 random bytes."""
    return secrets.token_bytes(REQUEST_ID)


class AccessLog:
    """What one process writes; where the setting is `none` there is none of these."""

    def __init__(self, *, addresses: bool, clock: Callable[[], float]) -> None:
        """`addresses`: whether visitors' addresses are written; `clock` is monotonic, in seconds."""
        self._addresses, self._clock = addresses, clock

    def follow(
        self, request: OpenRequest, *, peer: str, from_visitor: Literal["sent", "received"]
    ) -> FollowedStream:
        """Begin the line of a stream to or from `peer`; `from_visitor` is its direction seen from here."""
        fields: dict[str, object] = {
            "id": request.request_id.hex(),
            "hostname": request.hostname,
            "peer": peer,
        }
        if self._addresses:
            fields["visitor"] = str(request.visitor)
        return FollowedStream(fields, self._clock, sends=from_visitor == "sent")

    def turned_away(
        self, reason: str, *, visitor: Endpoint, hostname: str | None, alpn: tuple[bytes, ...]
    ) -> None:
        """Write the line of a visitor who got no stream."""
        fields: dict[str, object] = {"id": new_request_id().hex(), "reason": reason}
        if hostname is not None:
            fields["hostname"] = hostname
        if alpn:
            fields["alpn"] = known(alpn)
        if self._addresses:
            fields["visitor"] = str(visitor)
        log.info("turned away", extra={"fields": fields})


def of(setting: Access, clock: Callable[[], float]) -> AccessLog | None:
    """Return what the setting `access_log` asks for; None is no log."""
    return None if setting == "none" else AccessLog(addresses=setting == "addresses", clock=clock)


class FollowedStream:
    """One stream that is under way; the `stream.Witness` of its end."""

    __slots__ = ("_clock", "_fields", "_sends", "_started")

    def __init__(self, fields: dict[str, object], clock: Callable[[], float], *, sends: bool) -> None:
        self._fields, self._clock, self._sends = fields, clock, sends
        self._started = clock()

    def offered(self, alpn: tuple[bytes, ...]) -> None:
        """Note what protocols the visitor's ClientHello offers."""
        if alpn:
            self._fields["alpn"] = known(alpn)

    def agreed(self, protocol: str | None) -> None:
        """Note what visitor and client agreed upon; a client offers names of its own only."""
        if protocol is not None:
            self._fields["alpn"] = [protocol]

    def over(self, *, sent: int, received: int, reason: str) -> None:
        """Write the line. Bytes are those of the stream, TLS included."""
        up, down = (sent, received) if self._sends else (received, sent)
        ended = {
            "from_visitor_bytes": up,
            "to_visitor_bytes": down,
            "duration_s": round(self._clock() - self._started, 6),
            "reason": reason,
        }
        log.info("stream", extra={"fields": self._fields | ended})


def known(alpn: tuple[bytes, ...]) -> list[str]:
    """Return the protocols by name, each once and in their order; those nobody registered as "other"."""
    return list(dict.fromkeys(_KNOWN.get(name, "other") for name in alpn))
