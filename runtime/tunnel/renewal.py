"""When a session has to attest again. Pure but for the monotonic clock of its sessions.

The client begins; the server asks a client that lets its time pass, and ends the session if that does
not help. Both also attest again when a new fleet document comes into force.
"""

from __future__ import annotations

import time

from runtime.channel.party import Party
from runtime.channel.session import Session

SOONEST_S = 1.0  # endorsements that are about to end must not make a loop


def due_in(session: Session, party: Party) -> float:
    """Return the seconds until the next attestation: the interval, or the peer's endorsements if sooner."""
    by_interval = session.attested_at + party.limits.reattest_s - time.monotonic()
    by_endorsement = float(session.peer.endorsed_until - party.clock.now())
    return max(SOONEST_S, min(by_interval, by_endorsement))
