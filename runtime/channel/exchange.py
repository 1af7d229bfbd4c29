"""One attestation of one epoch: drives the pure handshake over a connection, under deadlines. I/O.

Everything the peer decides is bounded in time here and in size in `messages`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from runtime.attestation import model, verifier
from runtime.attestation.model import AttestationResult
from runtime.attestation.verifier import AppraisalRequest
from runtime.channel.handshake import Appraise, Collect, Established, Handshake, Send, Step
from runtime.channel.hello import Format, Hello, Side
from runtime.channel.messages import Kind, Message
from runtime.channel.party import CurrentDocument, Party
from runtime.channel.transport import ChannelTransport
from runtime.documents.fleet import Member, Role
from runtime.errors import PeerError

# The peer's next message. It covers what the peer does first: collecting evidence (a TPM takes
# hundreds of milliseconds, a busy configfs seconds) and appraising ours.
MESSAGE_DEADLINE_S = 20.0
COLLECT_DEADLINE_S = 15.0

NextMessage = Callable[[], Awaitable[Message]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested:
    """What one epoch came to: both sides accepted and confirmed."""

    established: Established
    peer: AttestationResult
    member: Member  # what the fleet document said of the peer then


async def attest(
    transport: ChannelTransport, party: Party, *, epoch: int, nonce: bytes, receive: NextMessage
) -> Attested:
    """Attest both ways; `nonce` is 32 random bytes, used here only; `receive` gives the peer's messages.

    Raises: PeerError, MalformedError, EvidenceRefusedError, UnreachableError (no document in force),
    TimeoutError.
    """
    current = party.documents.current()
    now = party.clock.now()
    handshake = Handshake(
        hello=Hello(
            side=party.side,
            epoch=epoch,
            nonce=nonce,
            time=now,
            document_version=current.document.version,
            document_digest=current.document.digest,
            settings_digest=party.settings_digest,
            formats=tuple(Format),
        ),
        spki_own=transport.spki_own,
        spki_peer=transport.spki_peer,
        export=transport.export,
        now=now,
    )
    run = _Run(transport, party, current, handshake)
    member: Member | None = None
    done = await run.steps(handshake.start())
    while done is None:
        async with asyncio.timeout(MESSAGE_DEADLINE_S):
            message = await receive()
        steps = handshake.receive(message)
        if message.kind is Kind.HELLO:
            # Strangers are refused before they cost anything; the verifier looks again with the evidence.
            member = verifier.find_member(
                current.document, handshake.peer_hello.settings_digest, _role(party.side.other), now
            )
        done = await run.steps(steps)
    if run.result is None or member is None:  # the machine confirms only after both; never trust that alone
        raise PeerError("internal", "confirmed without an attestation result")
    party.clock.raise_floor(run.result.newest_endorsement)
    if done.peer_hello.document_version > current.document.version:
        party.documents.refresh()  # only now, after both confirmed: a stranger cannot make us fetch
    return Attested(established=done, peer=run.result, member=member)


def _role(side: Side) -> Role:
    return "server" if side is Side.SERVER else "client"


class _Run:
    """Carries out the handshake's steps."""

    def __init__(
        self, transport: ChannelTransport, party: Party, current: CurrentDocument, handshake: Handshake
    ) -> None:
        self._transport, self._party, self._current, self._handshake = transport, party, current, handshake
        self.result: AttestationResult | None = None

    async def steps(self, steps: Sequence[Step]) -> Established | None:
        """Do each step and those that follow from it; return the end, when it is reached."""
        queue = list(steps)
        while queue:
            match queue.pop(0):
                case Send(message):
                    async with asyncio.timeout(MESSAGE_DEADLINE_S):
                        await self._transport.send(message)
                case Collect(binder):
                    async with asyncio.timeout(COLLECT_DEADLINE_S):
                        evidence = await self._party.attester.collect(binder)
                    queue += self._handshake.evidence_collected(model.encode(evidence))
                case Appraise() as step:
                    self.result = await self._appraise(step)
                    queue += self._handshake.appraised()
                case Established() as established:
                    return established
        return None

    async def _appraise(self, step: Appraise) -> AttestationResult:
        request = AppraisalRequest(
            evidence=step.evidence,
            binder=step.binder,
            settings_digest=step.settings_digest,
            role=_role(self._party.side.other),
            document=self._current.payload,
            roots=self._party.roots,
            now=self._party.clock.now(),
        )
        return await self._party.appraiser.appraise(request)
