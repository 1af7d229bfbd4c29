"""An attested session: the first attestation, control messages, and attesting again. I/O.

Every refusal is raised once to the caller, who logs it once; the peer is told a code and nothing else.
A later attestation runs on the same connection while tunnel bytes flow; if it fails, the session ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from runtime.attestation.result import AttestationResult
from runtime.channel import exchange
from runtime.channel.control_channel import ControlChannel
from runtime.channel.deadline import deadline
from runtime.channel.exchange import Attested, OnOwner, ProvenOwner
from runtime.channel.handshake import Appraise, Established
from runtime.channel.hello import Hello, Side
from runtime.channel.messages import Kind, Message, public_code
from runtime.channel.party import OwnerParty, Party
from runtime.channel.transport import ChannelTransport
from runtime.documents.fleet import FleetDocument, Member
from runtime.errors import PeerError, TunnelError

_INBOX = 2  # messages of a later attestation that wait: the peer never has more than one to send


class Session(ControlChannel):
    """An established session: both sides attested and confirmed on this very connection.

    `id` (16 bytes) stays; `epoch`, `join_secret` (32 bytes), `peer`, `member` and `under` (the document that
    they were held against) change together when the session attests again.
    """

    def __init__(self, transport: ChannelTransport, party: Party, first: Attested) -> None:
        super().__init__(transport)
        self.id = first.established.session
        self._party = party
        self._inbox: asyncio.Queue[Message] = asyncio.Queue(_INBOX)
        self._listening = False  # somebody waits for messages of a later attestation
        self._take(first)

    def _take(self, attested: Attested) -> None:
        done: Established = attested.established
        self.epoch, self.join_secret = done.epoch, done.join_secret
        self.peer, self.member, self.under = attested.peer, attested.member, attested.under
        self.peer_hello: Hello = done.peer_hello
        self.attested_at = time.monotonic()

    def member_in(self, document: FleetDocument) -> Member | None:
        """Return what a later document says of this peer, None when it no longer is the same member."""
        then, now = self.member, document.member_by_settings(self.member.settings_digest)
        same = now is not None and (now.name, now.role, now.instance) == (then.name, then.role, then.instance)
        return now if same else None

    # -- attesting again --------------------------------------------------------------------------

    async def attest_again(self, nonce: bytes) -> None:
        """Begin the next epoch, as the client, and see it through; `receive` must be running meanwhile.

        Raises: whatever `establish` does; the session is over then, and the peer was told a code.
        """
        self._listening = True
        try:
            await self._next_epoch(nonce, self._inbox.get)
        finally:
            self._listening = False

    async def answer_attestation(self, nonce: bytes) -> None:
        """Wait for the client to begin the next epoch, and see it through. Raises: as `attest_again`."""
        self._listening = True
        first: list[Message] = [await self._inbox.get()]

        async def receive() -> Message:
            return first.pop() if first else await self._inbox.get()

        await self._next_epoch(nonce, receive)

    async def _next_epoch(self, nonce: bytes, receive: exchange.NextMessage) -> None:
        async with _refusing(self.transport):
            attested = await exchange.attest(
                self.transport, self._party, epoch=self.epoch + 1, nonce=nonce, receive=receive
            )
            if attested.member.settings_digest != self.member.settings_digest:
                # The keys and the connection are the same, so a member that became another one is a lie.
                raise PeerError("evidence_refused", "the peer attested as another member than before")
        self._take(attested)

    def _hand_over(self, message: Message) -> None:
        if not self._listening or self._inbox.full():
            raise PeerError("out_of_turn", f"{message.kind.name} in an established session")
        self._inbox.put_nowait(message)


async def establish(transport: ChannelTransport, party: Party, nonce: bytes) -> Session:
    """Attest both ways over a fresh TLS connection; `nonce` is 32 random bytes, used here only.

    Raises: PeerError, MalformedError, EvidenceRefusedError, UnreachableError (no document yet). The
    connection is closed then, and the peer was told a code.
    """
    async with _refusing(transport):
        await _secured(transport)
        first = await exchange.attest(transport, party, epoch=0, nonce=nonce, receive=transport.receive)
    return Session(transport, party, first)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerVisit:
    """A channel with an owner, as the member sees it: no session, no data plan, no offer, no join secret."""

    channel: ControlChannel
    owner_key: bytes  # raw Ed25519, 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """A channel with a member, as the owner sees it."""

    channel: ControlChannel
    peer: AttestationResult
    peer_hello: Hello
    shown: Appraise  # the evidence that was accepted, and what it is bound to


async def accept(
    transport: ChannelTransport,
    party: Party,
    nonce: bytes,
    *,
    meets: tuple[Side, ...],
    on_owner: OnOwner,
) -> Session | OwnerVisit:
    """Answer whoever dialled, a member or an owner. Raises: as `establish`, and what `on_owner` raises."""
    async with _refusing(transport):
        await _secured(transport)
        met = await exchange.accept(transport, party, meets=meets, nonce=nonce, on_owner=on_owner)
    if isinstance(met, ProvenOwner):
        return OwnerVisit(channel=ControlChannel(transport), owner_key=met.key)
    return Session(transport, party, met)


async def reach(
    transport: ChannelTransport, owner: OwnerParty, wanted: Member | None, nonce: bytes
) -> Reached:
    """Prove to be the owner and attest `wanted`; None: whichever server this is.

    Raises: as `establish`; PeerError("other_member") when somebody else answers.
    """
    async with _refusing(transport):
        await _secured(transport)
        met = await exchange.meet_member(transport, owner, wanted, nonce=nonce)
    return Reached(
        channel=ControlChannel(transport),
        peer=met.peer,
        peer_hello=met.established.peer_hello,
        shown=met.shown,
    )


async def _secured(transport: ChannelTransport) -> None:
    async with deadline(transport.limits, "session_tls_s", "TLS was not done"):
        await transport.established()


@contextlib.asynccontextmanager
async def _refusing(transport: ChannelTransport) -> AsyncGenerator[None, None]:
    """Tell the peer a code and close, whatever of ours ends what is inside."""
    try:
        yield
    except TimeoutError as error:
        await refuse(transport, "timeout")
        raise PeerError("timeout", "the peer took too long") from error
    except TunnelError as error:
        if not (isinstance(error, PeerError) and error.remote):
            await refuse(transport, error.code)
        raise
    except BaseException:
        transport.abort()
        raise


async def refuse(transport: ChannelTransport, code: str) -> None:
    """Tell the peer a code and close."""
    with contextlib.suppress(PeerError, TimeoutError):
        async with asyncio.timeout(1):
            await transport.send(Message(Kind.REFUSED, public_code(code).encode()))
    transport.close()
