"""One attested session: drives the pure handshake over a transport, under deadlines. I/O.

Everything the peer decides is bounded in time here and in size in `messages`. Every refusal is
raised once to the caller, who logs it once; the peer is told a code and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from runtime.attestation import model, verifier
from runtime.attestation.attester import Attester
from runtime.attestation.model import AttestationResult, EvidenceRefusedError, TrustRoot
from runtime.attestation.verifier import AppraisalRequest
from runtime.channel.appraiser import Appraiser
from runtime.channel.boot_key import BootKey
from runtime.channel.handshake import Appraise, Collect, Established, Handshake, Send, Step
from runtime.channel.hello import Format, Hello, Side
from runtime.channel.messages import Kind, Message
from runtime.channel.transport import ChannelTransport
from runtime.documents import strict_json
from runtime.documents.fleet import FleetDocument, Member, Role
from runtime.errors import MalformedError, PeerError, TunnelError

TLS_DEADLINE_S = 10.0
# The peer's next message. It covers what the peer does first: collecting evidence (a TPM takes
# hundreds of milliseconds, a busy configfs seconds) and appraising ours.
MESSAGE_DEADLINE_S = 20.0
COLLECT_DEADLINE_S = 15.0

# Told to the peer; anything else becomes "refused". None says which member, value or rule it was.
_PUBLIC_CODES = frozenset(
    {
        "alpn",
        "busy",
        "clock_skew",
        "confirm",
        "document_conflict",
        "epoch",
        "evidence_refused",
        "formats",
        "malformed",
        "out_of_turn",
        "reflected",
        "role",
        "timeout",
        "too_large",
        "unknown_type",
    }
)


class Clock(Protocol):
    """The trusted clock."""

    def now(self) -> int:
        """Return Unix seconds."""
        ...

    def raise_floor(self, seconds: int) -> None:
        """Learn a signed time: it cannot be earlier than that."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentDocument:
    """The fleet document in force: as signed, and as read."""

    envelope: bytes
    payload: bytes
    document: FleetDocument


class Documents(Protocol):
    """Where the fleet document in force comes from."""

    def current(self) -> CurrentDocument:
        """Return it. Raises: UnreachableError while there is none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """What a member brings to every session."""

    side: Side
    key: BootKey
    settings_digest: bytes
    attester: Attester
    appraiser: Appraiser
    roots: tuple[TrustRoot, ...]
    documents: Documents
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """An established session: both sides attested and confirmed on this very connection."""

    id: bytes  # 16
    epoch: int
    join_secret: bytes  # 32
    peer: AttestationResult
    member: Member  # what the fleet document said of the peer then
    peer_document_version: int
    peer_address: str
    transport: ChannelTransport

    def member_in(self, document: FleetDocument) -> Member | None:
        """Return what a later document says of this peer, None when it no longer is the same member."""
        then, now = self.member, document.member_by_settings(self.member.settings_digest)
        same = now is not None and (now.name, now.role, now.instance) == (then.name, then.role, then.instance)
        return now if same else None

    async def send(self, message: dict[str, Any]) -> None:
        """Send a control message. Raises: PeerError when the session is over."""
        await self.transport.send(Message(Kind.CONTROL, strict_json.canonical(message)))

    async def receive(self) -> dict[str, Any]:
        """Return the peer's next control message. Raises: PeerError, MalformedError."""
        message = await self.transport.receive()
        if message.kind is Kind.REFUSED:
            code = message.payload.decode("ascii", "replace")
            raise PeerError(code, "the peer ended the session", remote=True)
        if message.kind is not Kind.CONTROL:
            raise PeerError("out_of_turn", f"{message.kind.name} in an established session")
        value = strict_json.parse(message.payload, "control message")
        if not isinstance(value, dict):
            raise MalformedError("control message", "is not an object")
        return value


async def establish(transport: ChannelTransport, party: Party, nonce: bytes) -> Session:
    """Attest both ways over a fresh TLS connection; `nonce` is 32 random bytes, used here only.

    Raises: PeerError, MalformedError, EvidenceRefusedError, UnreachableError (no document yet). The
    connection is closed then, and the peer was told a code.
    """
    try:
        async with asyncio.timeout(TLS_DEADLINE_S):
            await transport.established()
        return await _establish(transport, party, nonce)
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
    public = code if code in _PUBLIC_CODES else "refused"
    with contextlib.suppress(PeerError, TimeoutError):
        async with asyncio.timeout(1):
            await transport.send(Message(Kind.REFUSED, public.encode()))
    transport.close()


async def _establish(transport: ChannelTransport, party: Party, nonce: bytes) -> Session:
    current = party.documents.current()
    now = party.clock.now()
    handshake = Handshake(
        hello=Hello(
            side=party.side,
            epoch=0,
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
            message = await transport.receive()
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
    return Session(
        id=done.session,
        epoch=done.epoch,
        join_secret=done.join_secret,
        peer=run.result,
        member=member,
        peer_document_version=done.peer_hello.document_version,
        peer_address=transport.peer_address,
        transport=transport,
    )


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


__all__ = ["CurrentDocument", "Documents", "EvidenceRefusedError", "Party", "Session", "establish", "refuse"]
