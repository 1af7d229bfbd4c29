"""Owners at a tunnel server: who may try, who is in, and for how long. I/O.

Places of their own, so that nobody who only says that he is the owner keeps out a member or the owner: while
they prove it, the fullest address loses its oldest; the proven ones are few, and the newest comes in.
"""

from __future__ import annotations

import logging
from typing import Any

from runtime.channel.control_channel import ControlChannel
from runtime.channel.session import OwnerVisit, Session
from runtime.channel.transport import ChannelTransport
from runtime.crowd import Crowd
from runtime.documents import dsse
from runtime.errors import TunnelError
from runtime.tunnel.owner_desk import TellStatus, attend
from runtime.tunnel.owner_relay import FindClient, OwnerRelay

log = logging.getLogger("tunnel.owner")

MAX_PROVING = 16  # an owner proves itself in two round trips; each such peer holds one connection
PROVING_PER_ADDRESS = 4
MAX_VISITS = 8


class OwnerVisits:
    """Every owner of one server."""

    def __init__(self, *, status: TellStatus, find_client: FindClient) -> None:
        self._status = status
        self._relay = OwnerRelay(find_client)
        self._proving: Crowd[ChannelTransport] = Crowd(most=MAX_PROVING, most_per_place=PROVING_PER_ADDRESS)
        self._visits: dict[ControlChannel, None] = {}  # in the order in which they came
        self.displaced = 0  # who had to go for another one before they had proved anything

    @property
    def proving(self) -> int:
        """Count those who say that they are the owner and have not shown it yet."""
        return len(self._proving)

    @property
    def visits(self) -> int:
        """Count the proven ones."""
        return len(self._visits)

    def says_owner(self, transport: ChannelTransport) -> None:
        """Give a place to a peer whose hello says so; another one may have to go for it."""
        gone = self._proving.add(transport, transport.peer_address)
        if gone is not None:
            self.displaced += 1
            gone.abort()

    def settled(self, transport: ChannelTransport) -> None:
        """Free the place: it is proven, refused or gone, or it never was one of these."""
        self._proving.discard(transport)

    def add_client(self, session: Session) -> None:
        """Let owners reach this client from now on."""
        session.on_frame = lambda frame: self._relay.from_client(session, frame)

    def remove_client(self, session: Session) -> None:
        """End what owners have with this client."""
        self._relay.gone(session)

    async def receive(self, visit: OwnerVisit) -> None:
        """Serve a proven owner until it leaves. Never raises one of our errors."""
        channel = visit.channel
        if len(self._visits) >= MAX_VISITS:
            next(iter(self._visits)).transport.close()
        self._visits[channel] = None
        fields: dict[str, Any] = {
            "owner": dsse.key_id(visit.owner_key)[:16],
            "peer": channel.peer_address,
        }
        log.info("an owner came", extra={"fields": fields})
        channel.on_frame = lambda frame: self._relay.from_owner(channel, frame)
        reason = "closed"
        try:
            await attend(channel, self._status)
        except TunnelError as error:
            reason = error.code
        finally:
            self._visits.pop(channel, None)
            self._relay.gone(channel)
            channel.transport.close()
            log.info("an owner left", extra={"fields": {**fields, "reason": reason}})
