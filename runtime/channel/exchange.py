"""One attestation of one epoch: drives the pure handshake over a connection, under deadlines. I/O.

Everything the peer decides is bounded in time here and in size in `messages`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from runtime.attestation import verifier, wire
from runtime.attestation.result import AttestationResult
from runtime.attestation.tees import Root
from runtime.attestation.verifier import AppraisalRequest
from runtime.channel import owner_proof
from runtime.channel.deadline import deadline
from runtime.channel.handshake import Appraise, CheckOwner, Collect, Established, Handshake, Send, Sign, Step
from runtime.channel.hello import Format, Hello, Side
from runtime.channel.messages import Kind, Message
from runtime.channel.party import CurrentDocument, OwnerParty, Party
from runtime.channel.transport import ChannelTransport
from runtime.documents.fleet import FleetDocument, Member, Role
from runtime.errors import PeerError
from runtime.limits import Limits

NextMessage = Callable[[], Awaitable[Message]]
OnOwner = Callable[[], None]  # a peer says it is the owner: refuse it here, before it costs anything
NO_SETTINGS = bytes(32)  # the settings digest of an owner


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested:
    """What one epoch came to: both sides accepted and confirmed."""

    established: Established
    peer: AttestationResult
    member: Member  # what the fleet document said of the peer then
    under: FleetDocument  # the one in force when it began, which all of it was held against


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRead:
    """A member as its owner sees it: accepted, with the very evidence that it showed."""

    established: Established
    peer: AttestationResult
    shown: Appraise


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenOwner:
    """A channel with an owner, as the member sees it: both sides accepted and confirmed."""

    established: Established
    key: bytes  # the owner's, raw Ed25519, 32: one of those that the settings name


async def attest(
    transport: ChannelTransport, party: Party, *, epoch: int, nonce: bytes, receive: NextMessage
) -> Attested:
    """Attest both ways between members; `nonce` is 32 random bytes, used here only.

    `receive` gives the peer's messages. Raises: PeerError, MalformedError, EvidenceRefusedError,
    UnreachableError (no document in force).
    """
    current = party.documents.current()
    now = party.clock.now()
    own = _hello(party, current, epoch, nonce, now)
    handshake = _handshake(transport, own, (party.side.other,), now)
    part = _MemberPart(party, current, handshake, now, _no_owner, source=transport.peer_address)
    met = part.outcome(await _drive(transport, handshake, part, receive, party.limits))
    if not isinstance(met, Attested):
        raise PeerError("internal", "an owner in the place of a member")
    return met


async def accept(
    transport: ChannelTransport, party: Party, *, meets: tuple[Side, ...], nonce: bytes, on_owner: OnOwner
) -> Attested | ProvenOwner:
    """Answer the first epoch of whoever dialled. Raises: as `attest`, and what `on_owner` raises."""
    current = party.documents.current()
    now = party.clock.now()
    handshake = _handshake(transport, _hello(party, current, 0, nonce, now), meets, now)
    part = _MemberPart(party, current, handshake, now, on_owner, source=transport.peer_address)
    return part.outcome(await _drive(transport, handshake, part, transport.receive, party.limits))


async def meet_member(
    transport: ChannelTransport, owner: OwnerParty, wanted: Member | None, *, nonce: bytes
) -> MemberRead:
    """Prove to be the owner, and attest the very member that is meant; None: whichever server this is.

    Raises: as `attest`; PeerError("other_member") when somebody else answers.
    """
    now = owner.clock.now()
    own = Hello(
        side=Side.OWNER,
        epoch=0,
        nonce=nonce,
        time=now,
        document_version=owner.document.document.version,
        document_digest=owner.document.document.digest,
        settings_digest=NO_SETTINGS,
        formats=tuple(Format),
    )
    side = Side.CLIENT if wanted is not None and wanted.role == "client" else Side.SERVER
    handshake = _handshake(transport, own, (side,), now)
    part = _OwnerPart(owner, wanted)
    done = await _drive(transport, handshake, part, transport.receive, transport.limits)
    if part.result is None or part.shown is None:  # never trust the machine alone for this
        raise PeerError("internal", "confirmed without an attestation result")
    return MemberRead(established=done, peer=part.result, shown=part.shown)


class _Part(Protocol):
    """What a side proves, and how it judges."""

    def met(self, peer: Hello) -> None:
        """Look at the peer's hello, before anything follows from it."""
        ...

    async def prove(self, binder: bytes) -> bytes:
        """Return evidence or a signature over the binder."""
        ...

    async def judge(self, step: Appraise | CheckOwner) -> None:
        """Raise when what the peer showed is not accepted."""
        ...


async def _drive(
    transport: ChannelTransport, handshake: Handshake, part: _Part, receive: NextMessage, limits: Limits
) -> Established:
    """Go through the whole handshake."""
    done = await _carry_out(transport, handshake, part, handshake.start())
    while done is None:
        async with deadline(limits, "message_s", "the peer said nothing"):
            message = await receive()
        steps = handshake.receive(message)
        if message.kind is Kind.HELLO:
            part.met(handshake.peer_hello)
        done = await _carry_out(transport, handshake, part, steps)
    return done


async def _carry_out(
    transport: ChannelTransport, handshake: Handshake, part: _Part, steps: Sequence[Step]
) -> Established | None:
    """Do each step and those that follow from it; return the end, when it is reached."""
    queue = list(steps)
    while queue:
        match queue.pop(0):
            case Send(message):
                await transport.send(message)  # it has a deadline of its own
            case Established() as established:
                return established
            case (Collect() | Sign()) as step:
                queue += handshake.evidence_collected(await part.prove(step.binder))
            case (Appraise() | CheckOwner()) as step:
                await part.judge(step)
                queue += handshake.appraised()
    return None


class _MemberPart:
    """A member: it shows evidence, and appraises another member or checks an owner's signature."""

    def __init__(
        self,
        party: Party,
        current: CurrentDocument,
        handshake: Handshake,
        now: int,
        on_owner: OnOwner,
        *,
        source: str,
    ) -> None:
        self._party, self._current, self._handshake = party, current, handshake
        self._now, self._on_owner, self._source = now, on_owner, source
        self._result: AttestationResult | None = None
        self._member: Member | None = None
        self._owner: bytes | None = None

    def met(self, peer: Hello) -> None:
        if peer.side is Side.OWNER:
            self._on_owner()
            return
        # Strangers are refused before they cost anything; the verifier looks again with the evidence.
        self._member = verifier.find_member(
            self._current.document, peer.settings_digest, _role(peer.side), self._now
        )

    async def prove(self, binder: bytes) -> bytes:
        async with deadline(self._party.limits, "collect_s", "the platform gave no evidence"):
            return wire.encode(await self._party.attester.collect(binder))

    async def judge(self, step: Appraise | CheckOwner) -> None:
        if isinstance(step, CheckOwner):
            self._owner = owner_proof.check(step.signature, step.binder, self._party.owner_keys)
            return
        request = _request(
            step,
            _role(self._handshake.peer_hello.side),
            self._current,
            self._party.roots,
            self._party.clock.now(),
        )
        self._result = await self._party.appraiser.appraise(request, source=self._source)

    def outcome(self, done: Established) -> Attested | ProvenOwner:
        """Say whom it was; both have confirmed."""
        if self._owner is not None:
            return ProvenOwner(established=done, key=self._owner)
        if self._result is None or self._member is None:  # never trust the machine alone for this
            raise PeerError("internal", "confirmed without an attestation result")
        self._party.clock.raise_floor(self._result.newest_endorsement)
        if done.peer_hello.document_version > self._current.document.version:
            self._party.documents.refresh()  # only now, after both confirmed: a stranger cannot make us fetch
        return Attested(
            established=done, peer=self._result, member=self._member, under=self._current.document
        )


class _OwnerPart:
    """The owner: it signs, and appraises the member that it wants to reach."""

    def __init__(self, owner: OwnerParty, wanted: Member | None) -> None:
        self._owner, self._wanted = owner, wanted
        self.result: AttestationResult | None = None
        self.shown: Appraise | None = None

    def met(self, peer: Hello) -> None:
        """Know who answers before anything is signed."""
        found = self._owner.document.document.member_by_settings(peer.settings_digest)
        if found is None or (self._wanted is not None and found != self._wanted):
            who = f"member {found.name}" if found is not None else "no member of the fleet document"
            wanted = "a server" if self._wanted is None else self._wanted.name
            raise PeerError("other_member", f"{who} answered, want {wanted}")

    async def prove(self, binder: bytes) -> bytes:
        return await self._owner.sign(owner_proof.message(binder))

    async def judge(self, step: Appraise | CheckOwner) -> None:
        if isinstance(step, CheckOwner):
            raise PeerError("out_of_turn", "an owner has no other owner to check")
        owner = self._owner
        role = "server" if self._wanted is None else self._wanted.role
        request = _request(step, role, owner.document, owner.roots, owner.clock.now())
        self.result, self.shown = await owner.appraiser.appraise(request, source=role), step


def _hello(party: Party, current: CurrentDocument, epoch: int, nonce: bytes, now: int) -> Hello:
    return Hello(
        side=party.side,
        epoch=epoch,
        nonce=nonce,
        time=now,
        document_version=current.document.version,
        document_digest=current.document.digest,
        settings_digest=party.settings_digest,
        formats=tuple(Format),
    )


def _handshake(transport: ChannelTransport, own: Hello, meets: tuple[Side, ...], now: int) -> Handshake:
    return Handshake(
        hello=own,
        meets=meets,
        spki_own=transport.spki_own,
        spki_peer=transport.spki_peer,
        export=transport.export,
        now=now,
    )


def _request(
    step: Appraise, role: Role, current: CurrentDocument, roots: tuple[Root, ...], now: int
) -> AppraisalRequest:
    return AppraisalRequest(
        evidence=step.evidence,
        binder=step.bound.binder,
        settings_digest=step.bound.settings_digest,
        role=role,
        document=current.payload,
        roots=roots,
        now=now,
    )


def _role(side: Side) -> Role:
    return "server" if side is Side.SERVER else "client"


def _no_owner() -> None:
    raise PeerError("role", "an owner has no place in a session of members")
