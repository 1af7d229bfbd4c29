"""Owners at a tunnel server: who may try, who is in, and for how long. I/O.

Places of their own, so that nobody who only says that he is the owner keeps out a member or the owner: while
they prove it, the fullest address loses its oldest; the proven ones are few, and the newest comes in.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from runtime.channel.control_channel import ControlChannel
from runtime.channel.session import OwnerVisit, Session
from runtime.channel.transport import ChannelTransport
from runtime.crowd import Crowd
from runtime.documents import dsse
from runtime.errors import TunnelError
from runtime.limits import Limits
from runtime.tunnel.owner_desk import TellStatus, attend
from runtime.tunnel.owner_relay import FindClient, OwnerRelay

log = logging.getLogger("tunnel.owner")


class OwnerVisits:
    """Every owner of one server."""

    def __init__(
        self, *, status: TellStatus, find_client: FindClient, limits: Limits, count: Callable[[str], None]
    ) -> None:
        """`count` is told the code of each limit that somebody reached."""
        self._status, self._limits, self._count = status, limits, count
        self._relay = OwnerRelay(find_client, most_streams=limits.owner_streams, count=count)
        self._proving: Crowd[ChannelTransport] = Crowd(
            most=limits.max_owners_proving, most_per_place=limits.owners_proving_per_address
        )
        self._visits: dict[ControlChannel, str] = {}  # in the order in which they came; why one was closed

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
            self._count("owner_displaced")
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
        if len(self._visits) >= self._limits.max_owners:
            oldest = next(iter(self._visits))
            self._visits[oldest] = "owner_displaced"
            self._count("owner_displaced")
            oldest.transport.close()
        self._visits[channel] = ""
        fields: dict[str, Any] = {
            "owner": dsse.key_id(visit.owner_key)[:16],
            "peer": channel.peer_address,
        }
        log.info("an owner came", extra={"fields": fields})
        channel.on_frame = lambda frame: self._relay.from_owner(channel, frame)
        reason = "closed"
        try:
            await attend(channel, self._status, self._limits)
        except TunnelError as error:
            reason = error.code
        finally:
            reason = self._visits.pop(channel, "") or reason
            self._relay.gone(channel)
            channel.transport.close()
            log.info("an owner left", extra={"fields": {**fields, "reason": reason}})
