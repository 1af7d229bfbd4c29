"""Owners who reach a tunnel client through one of its servers: the client's end of each stream (§16). I/O.

The server's word counts for nothing here: inside the stream the owner proves itself to this client over a TLS
connection that ends here. A server can open streams for nobody; so they are few, and the newest comes in.
"""

from __future__ import annotations

import asyncio
import logging
import secrets

from runtime.channel import relay_frames
from runtime.channel import session as channel
from runtime.channel.hello import Side
from runtime.channel.party import Party
from runtime.channel.relay_frames import Frame, Reason, What
from runtime.channel.relayed import RelayedTransport
from runtime.channel.session import OwnerVisit, Session
from runtime.channel.transport import ChannelTransport
from runtime.documents import dsse
from runtime.errors import PeerError, TunnelError
from runtime.tunnel.owner_desk import TellStatus, attend

log = logging.getLogger("tunnel.owner")


class OwnerDoor:
    """Every relayed stream of one session."""

    def __init__(self, *, session: Session, party: Party, status: TellStatus) -> None:
        self._session, self._party, self._status = session, party, status
        self._most = party.limits.owners_through_server
        self._streams: dict[int, RelayedTransport] = {}
        self._unproven: dict[int, None] = {}  # in the order in which they came
        self._last = 0
        self._came: asyncio.Queue[tuple[int, ChannelTransport]] = asyncio.Queue(self._most)
        session.on_frame = self._frame

    async def run(self) -> None:
        """Serve until cancelled; the streams end with it."""
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    stream, transport = await self._came.get()
                    tasks.create_task(self._attend(stream, transport))
        finally:
            for relayed in list(self._streams.values()):
                relayed.lost()

    def _frame(self, frame: Frame) -> None:
        """Take a frame of the server. Raises: PeerError when it breaks the rules."""
        if frame.what is What.OPEN:
            self._open(frame)
        elif frame.stream in self._streams:
            self._streams[frame.stream].frame(frame)
        elif frame.stream > self._last:
            raise PeerError("out_of_turn", f"relayed stream {frame.stream} was never opened")

    def _open(self, frame: Frame) -> None:
        if frame.stream <= self._last or frame.body:
            raise PeerError("out_of_turn", f"relayed stream {frame.stream} opened twice, or by a name")
        self._last = stream = frame.stream
        if self._came.full() or (len(self._streams) >= self._most and not self._make_room()):
            fields = {"through": self._session.peer.member, "reason": "owner_door_busy"}
            log.info("owner refused", extra={"fields": fields})
            self._session.send_frame(relay_frames.close(stream, Reason.BUSY))
            return
        # This end of TLS is the accepting one, though a tunnel client it is: the owner dialled.
        transport = ChannelTransport(Side.SERVER, self._party.key, self._party.limits)
        self._streams[stream] = RelayedTransport(
            stream,
            transport,
            send=self._session.send_frame,
            peer=f"relayed by {self._session.peer.member}",
            on_end=lambda: self._forget(stream),
        )
        self._unproven[stream] = None
        self._came.put_nowait((stream, transport))

    def _make_room(self) -> bool:
        """Close the oldest stream whose owner has proved nothing yet, if there is one."""
        oldest = next(iter(self._unproven), None)
        if oldest is not None:
            self._streams[oldest].abort()
        return oldest is not None

    def _forget(self, stream: int) -> None:
        self._streams.pop(stream, None)
        self._unproven.pop(stream, None)

    async def _attend(self, stream: int, transport: ChannelTransport) -> None:
        """One owner from first byte to last; nothing that happens here reaches the session."""
        fields: dict[str, object] = {"through": self._session.peer.member}
        try:
            visit = await channel.accept(
                transport, self._party, secrets.token_bytes(32), meets=(Side.OWNER,), on_owner=lambda: None
            )
            if isinstance(visit, OwnerVisit):  # it can be nobody else: `meets` says so
                self._unproven.pop(stream, None)
                fields["owner"] = dsse.key_id(visit.owner_key)[:16]
                log.info("an owner came", extra={"fields": fields})
                await attend(visit.channel, self._status, self._party.limits)
        except TunnelError as error:
            event = "an owner left" if "owner" in fields else "owner refused"
            log.info(event, extra={"fields": {**fields, "reason": error.code, "detail": str(error)}})
        except Exception:
            log.exception("an owner's visit ended by a fault of ours")
        finally:
            transport.close()
