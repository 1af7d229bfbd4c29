"""Every limit of the data plane, each with its reason. Pure.

The control process sends the whole set to its workers, so both ends of a socketpair always agree.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from runtime.errors import MalformedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes in bytes, times in seconds. All are positive.

    Raises:
        MalformedError: a limit is not positive, or the credit is smaller than one OPEN can use.
    """

    hello_bytes: int = 16 * 1024  # the largest real ClientHello (post-quantum, ECH) is below 4 KiB
    hello_s: float = 5.0  # three lost segments still fit; a slowloris does not
    join_s: float = 5.0  # TLS is up by then: one frame of 66 bytes
    dial_s: float = 5.0  # an origin is loopback or one hop away
    tls_s: float = 10.0  # the visitor's own handshake, over a phone network
    credit: int = 256 * 1024  # per stream and direction: 20 Mbit/s at 100 ms, and what a stalled stream holds
    high_water: int = 512 * 1024  # per data connection: about one send buffer; above it sources pause
    stalled_bytes: int = 2 * 1024 * 1024  # unsent bytes of a peer that reads nothing but makes us answer
    max_streams: int = 4096  # per data connection: bounds tables, and credit a peer can make us hold
    ping_s: float = 5.0  # silence before asking
    silent_s: float = 15.0  # silence that means a dead peer
    half_closed_s: float = 300.0  # a half-closed stream on which nothing moves
    drain_s: float = 30.0  # what visitors get to finish
    max_visitors: int = 16384  # per worker: below the usual descriptor limit with both kinds of socket
    connections_per_session: int = 16  # a client needs one or two per worker
    own_visitors: int = 64  # of the tunnel name, per worker: health checks and people who look
    own_visitor_s: float = 10.0  # one request for evidence takes a second
    max_unjoined: int = 256  # data connections that have not joined: strangers may hold no more sockets

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) <= 0:
                raise MalformedError("limits", f"{field.name} is not positive")
        if self.credit < 2 * self.hello_bytes:
            raise MalformedError("limits", "credit is less than twice hello_bytes")
