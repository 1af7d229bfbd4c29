"""The owner's side: to a server, or through one to a client. I/O."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from runtime.attestation.result import AttestationResult
from runtime.channel import session as channel
from runtime.channel import transport
from runtime.channel.control_channel import ControlChannel
from runtime.channel.handshake import Appraise
from runtime.channel.hello import Hello, Side
from runtime.channel.party import OwnerParty
from runtime.channel.relay_frames import Frame, Reason, What
from runtime.channel.relayed import RelayedTransport
from runtime.channel.session import Reached
from runtime.channel.transport import ChannelTransport
from runtime.documents.fleet import Member
from runtime.errors import PeerError, UnreachableError
from runtime.limits import Limits
from runtime.tunnel import owner_messages
from runtime.tunnel.owner_messages import StatusAsk, StatusPart, StatusText
from runtime.tunnel.together import run_together

CONNECT_DEADLINE_S = 10.0
ANSWER_DEADLINE_S = 20.0
LIMITS = Limits()  # of the owner's own end: the defaults
_STREAM = 1  # one client is reached at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A channel with the member that was meant."""

    address: str  # that was dialled
    through: AttestationResult | None  # the server in between, None when the member is that server
    peer: AttestationResult
    peer_hello: Hello
    shown: Appraise  # the evidence that `peer` was accepted by
    channel: ControlChannel


Use = Callable[[Visit], Awaitable[None]]


async def visit(owner: OwnerParty, member: Member, address: str, port: int, use: Use) -> None:
    """Dial one server's sessions port, attest, reach `member` there or through it, and use the channel.

    Raises: UnreachableError, PeerError (`other_member`: another server lives at this address),
    EvidenceRefusedError, MalformedError, and what `use` raises.
    """
    try:
        async with asyncio.timeout(CONNECT_DEADLINE_S):
            wire = await transport.connect(address, port, owner.key, LIMITS)
    except TimeoutError as error:
        message = f"{address} port {port} did not answer within {CONNECT_DEADLINE_S:g} s"
        raise UnreachableError(message) from error
    try:
        wanted = member if member.role == "server" else None
        reached = await channel.reach(wire, owner, wanted, secrets.token_bytes(32))
        if wanted is not None:
            await use(_visit(address, None, reached))
        else:
            await _through(owner, member, address, reached, use)
    finally:
        wire.close()


async def ask_status(of: ControlChannel) -> dict[str, Any]:
    """Return the member's status. Raises: PeerError, MalformedError."""
    await of.send(owner_messages.encode(StatusAsk()))
    text = StatusText()
    try:
        async with asyncio.timeout(ANSWER_DEADLINE_S):
            while True:
                message = owner_messages.decode(await of.receive())
                if not isinstance(message, StatusPart):
                    raise PeerError("out_of_turn", f"{type(message).__name__} is not a member's to send")
                if (status := text.add(message)) is not None:
                    return status
    except TimeoutError as error:
        raise PeerError("timeout", f"no status within {ANSWER_DEADLINE_S:g} s") from error


async def _through(owner: OwnerParty, member: Member, address: str, server: Reached, use: Use) -> None:
    inner = ChannelTransport(Side.CLIENT, owner.key, LIMITS)
    server.channel.send_frame(Frame(What.OPEN, _STREAM, member.name.encode()))
    relayed = RelayedTransport(
        _STREAM, inner, send=server.channel.send_frame, peer=f"{member.name}", on_end=lambda: None
    )

    def take(frame: Frame) -> None:
        if frame.stream != _STREAM:
            raise PeerError("out_of_turn", f"relayed stream {frame.stream} was never opened")
        relayed.frame(frame)

    server.channel.on_frame = take

    async def read() -> None:
        try:
            message = await server.channel.receive()
        finally:
            relayed.lost()
        raise PeerError("out_of_turn", f"the server sent {message.get('kind')!r} unasked")

    async def meet() -> None:
        try:
            reached = await channel.reach(inner, owner, member, secrets.token_bytes(32))
        except PeerError as error:
            raise _why(relayed.reason, server.peer.member, member.name, error) from error
        await use(_visit(address, server.peer, reached))

    try:
        await run_together(meet(), read())
    finally:
        relayed.abort()


def _why(reason: Reason | None, server: str, client: str, error: PeerError) -> PeerError | UnreachableError:
    """Say what the server said of a stream that came to nothing."""
    match reason:
        case Reason.NO_SESSION:
            return UnreachableError(f"{server} has no session with {client} now")
        case Reason.BUSY:
            return UnreachableError(f"{client} or {server} has too many owners connected")
        case Reason.GONE:
            return UnreachableError(f"the session between {server} and {client} ended")
        case _:
            return error


def _visit(address: str, through: AttestationResult | None, reached: Reached) -> Visit:
    return Visit(
        address=address,
        through=through,
        peer=reached.peer,
        peer_hello=reached.peer_hello,
        shown=reached.shown,
        channel=reached.channel,
    )
