"""Every limit of a member, each with its default, its bounds, its error code and its reason. Pure.

A limit is a member of `limits` in the settings; what is left out has its default. The bounds hold for
settings alone: tests go below them. The control process sends the whole set to its workers, so both
ends of a socketpair always agree. docs/operations.md has this as a table, docs/errors.md the codes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TypeVar, cast

from runtime.errors import MalformedError

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What settings may say of one limit, and the code of what exceeds it."""

    least: float
    most: float
    code: str


def _limit(default: Number, least: Number, most: Number, code: str) -> Number:
    return field(default=default, metadata={"bounds": Bounds(least=least, most=most, code=code)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes in bytes (`_bytes`), times in seconds (`_s`), else counts. All are positive.

    Raises:
        MalformedError: a limit is not positive, or two of them contradict each other.
    """

    # Visitors, at a server's worker. The largest real ClientHello (post-quantum, ECH) is below 4 KiB.
    hello_bytes: int = _limit(16 * 1024, 2048, 16 * 1024, "hello_too_large")
    hello_s: float = _limit(5.0, 0.5, 60.0, "hello_deadline")  # three lost segments fit, a slowloris does not
    # Below the usual descriptor limit with both kinds of socket.
    max_visitors: int = _limit(16384, 16, 262_144, "too_many_visitors")
    own_visitors: int = _limit(64, 1, 4096, "tunnel_name_busy")  # of the tunnel name: health checks, lookers
    own_visitor_s: float = _limit(10.0, 1.0, 60.0, "tunnel_name_late")  # evidence takes a second
    half_closed_s: float = _limit(300.0, 1.0, 86_400.0, "idle")  # a half-closed stream on which nothing moves
    # Sent and not acknowledged: a phone may be out of reach for a while.
    unacknowledged_s: float = _limit(120.0, 5.0, 3600.0, "visitor_lost")
    drain_s: float = _limit(30.0, 1.0, 300.0, "drained")  # what visitors get to finish
    own_askers: int = _limit(8, 1, 64, "evidence_busy")  # a TPM makes a few quotes a second

    # Streams, at a client. An origin is loopback or one hop away.
    dial_s: float = _limit(5.0, 0.5, 60.0, "origin_deadline")
    tls_s: float = _limit(10.0, 1.0, 60.0, "tls_deadline")  # a visitor's handshake, over a phone network

    # Answers of TLS itself, while the visitor reads none: a handshake's take 2 KiB, a KeyUpdate's 22 bytes.
    tls_unread_bytes: int = _limit(16 * 1024, 4096, 1024 * 1024, "tls_unread")

    # Data connections, at both ends. Strangers may hold no more sockets than these.
    join_s: float = _limit(5.0, 0.5, 60.0, "join_deadline")  # TLS and one frame of 66 bytes, each
    max_unjoined: int = _limit(256, 8, 65_536, "unjoined_displaced")
    unjoined_per_address: int = _limit(64, 4, 65_536, "unjoined_displaced")  # a NAT has several clients
    connections_per_session: int = _limit(16, 2, 256, "join_too_many")  # a client needs one or two per worker
    data_dial_s: float = _limit(10.0, 1.0, 60.0, "data_deadline")
    # Per stream and direction: 20 Mbit/s at 100 ms, and what a stalled stream holds.
    credit: int = _limit(256 * 1024, 64 * 1024, 16 * 1024 * 1024, "credit_exceeded")
    # Per data connection: about one send buffer; above it sources pause, and nobody is refused.
    high_water: int = _limit(512 * 1024, 64 * 1024, 16 * 1024 * 1024, "stalled")
    # Beyond `high_water`: unsent bytes of a peer that reads nothing but makes us answer.
    stalled_bytes: int = _limit(2 * 1024 * 1024, 64 * 1024, 64 * 1024 * 1024, "stalled")
    # Per data connection: bounds tables, and credit a peer can make us hold.
    max_streams: int = _limit(4096, 16, 65_536, "too_many_streams")
    ping_s: float = _limit(5.0, 0.5, 5.0, "silent")  # silence before asking
    silent_s: float = _limit(15.0, 2.0, 15.0, "silent")  # silence that means a dead peer

    # Sessions, at both ends.
    session_dial_s: float = _limit(10.0, 1.0, 60.0, "session_deadline")
    session_tls_s: float = _limit(10.0, 1.0, 60.0, "session_tls_deadline")
    # Covers what the peer does first: collecting evidence (a TPM takes hundreds of milliseconds, a busy
    # configfs seconds) and appraising ours.
    message_s: float = _limit(20.0, 2.0, 120.0, "message_deadline")
    collect_s: float = _limit(15.0, 1.0, 120.0, "collect_deadline")
    send_s: float = _limit(10.0, 1.0, 60.0, "send_deadline")  # messages are small: who takes none is gone
    # A composite with event log and collateral of every platform stays under this; CCEL alone has 64 KiB.
    evidence_bytes: int = _limit(256 * 1024, 16 * 1024, 256 * 1024, "evidence_too_large")
    control_bytes: int = _limit(64 * 1024, 4096, 64 * 1024, "control_too_large")  # an offer of 256 hostnames
    # Of messages that wait to be read; above it reading pauses, and a peer that cannot send for long says so.
    unread_bytes: int = _limit(64 * 1024, 16 * 1024, 1024 * 1024, "send_deadline")
    max_unconfirmed: int = _limit(256, 8, 65_536, "unconfirmed_displaced")
    unconfirmed_per_address: int = _limit(64, 4, 65_536, "unconfirmed_displaced")
    # Evidence older than this says little: a TCB may have been revoked since.
    reattest_s: float = _limit(3600.0, 60.0, 86_400.0, "attestation_late")
    # How long past its time a server waits before it asks, and how long for the answer.
    late_s: float = _limit(30.0, 5.0, 300.0, "attestation_late")

    # Appraisals of peers' evidence, waiting or running; each holds up to `evidence_bytes`.
    appraisals: int = _limit(64, 4, 1024, "appraisals_full")
    appraisals_per_address: int = _limit(16, 1, 1024, "appraisals_of_address")
    # Of one member from one address: digests are no secret, so who shows one must not use up all places.
    appraisals_per_member: int = _limit(4, 1, 64, "appraisals_of_member")
    appraisal_s: float = _limit(10.0, 1.0, 60.0, "appraisal_deadline")  # it takes milliseconds

    # Owners, who have places of their own. Each that has not proved itself holds one connection.
    max_owners_proving: int = _limit(16, 4, 1024, "owner_displaced")
    owners_proving_per_address: int = _limit(4, 1, 1024, "owner_displaced")
    max_owners: int = _limit(8, 1, 64, "owner_displaced")  # proven ones; the newest comes in
    owner_visit_s: float = _limit(120.0, 10.0, 3600.0, "owner_visit_over")  # who forgot to leave
    # Between two questions; a signing command may wait for a person before it reaches further.
    owner_idle_s: float = _limit(60.0, 5.0, 3600.0, "owner_silent")
    owner_streams: int = _limit(2, 1, 8, "owner_relay_busy")  # an owner reads one client after the other
    owners_through_server: int = _limit(8, 1, 64, "owner_door_busy")  # at a client, as many as a server has

    # What is fetched, and the name that is asked for.
    document_url_s: float = _limit(10.0, 1.0, 60.0, "unreachable")  # one URL
    document_part_s: float = _limit(10.0, 1.0, 60.0, "document_part_late")  # one message of a peer
    dns_s: float = _limit(5.0, 1.0, 30.0, "unreachable")  # one query with its retries
    # A poisoned answer must not make us dial the whole Internet.
    max_addresses: int = _limit(64, 1, 1024, "too_many_addresses")

    # A server's workers.
    worker_start_s: float = _limit(20.0, 5.0, 300.0, "worker_start")  # a cold interpreter on a busy machine
    worker_take_s: float = _limit(5.0, 1.0, 60.0, "worker_stuck")  # to take a session
    worker_lines: int = _limit(1024, 64, 65_536, "worker_backlog")  # that wait for one worker
    worker_silent_s: float = _limit(8.0, 3.0, 60.0, "worker_silent")  # it reports every second
    worker_lag_s: float = _limit(2.0, 0.2, 30.0, "worker_lagging")  # in three reports running

    def __post_init__(self) -> None:
        for each in fields(self):
            if getattr(self, each.name) <= 0:
                raise MalformedError("limits", f"{each.name} is not positive")
        if self.credit < 2 * self.hello_bytes:
            raise MalformedError("limits", "credit is less than twice hello_bytes")
        for small, large in (
            ("ping_s", "silent_s"),
            ("unjoined_per_address", "max_unjoined"),
            ("unconfirmed_per_address", "max_unconfirmed"),
            ("owners_proving_per_address", "max_owners_proving"),
            ("owner_idle_s", "owner_visit_s"),
            ("appraisals_per_member", "appraisals_per_address"),
            ("appraisals_per_address", "appraisals"),
        ):
            if getattr(self, small) > getattr(self, large):
                raise MalformedError("limits", f"{small} is more than {large}")


BOUNDS: dict[str, Bounds] = {each.name: cast("Bounds", each.metadata["bounds"]) for each in fields(Limits)}
