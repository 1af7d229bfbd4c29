"""An owner that meets members, and the wires between them: for the channel's tests. I/O."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from runtime.attestation.wire import Evidence
from runtime.channel import session as channel
from runtime.channel import transport
from runtime.channel.boot_key import BootKey
from runtime.channel.hello import Side
from runtime.channel.party import OwnerParty, Party, Sign
from runtime.channel.session import OwnerVisit, Reached, Session
from runtime.channel.transport import ChannelTransport
from runtime.clock import TrustedClock
from runtime.documents.fleet import Member
from runtime.limits import Limits
from tests.channel import parties
from tests.channel.parties import FixedDocument, InlineAppraiser, World
from tests.fakes.fleets import NOW
from tests.web.owner import KEY

Met = Reached | BaseException
Visit = OwnerVisit | Session | BaseException
MEETS_SERVER = (Side.CLIENT, Side.OWNER)  # whom a tunnel server answers
MEETS_CLIENT = (Side.OWNER,)  # whom a tunnel client answers


def signer(key: Ed25519PrivateKey = KEY) -> Sign:
    """Sign with a key in this process."""

    async def sign(message: bytes) -> bytes:
        return key.sign(message)

    return sign


def owner(world: World, key: Ed25519PrivateKey = KEY, *, now: int = NOW) -> OwnerParty:
    """The owner's side, with everything as in production but the roots."""
    return OwnerParty(
        key=BootKey.create("owner", now),
        sign=signer(key),
        appraiser=InlineAppraiser(),
        roots=world.amd.roots(),
        document=FixedDocument(world.payload).current(),
        clock=TrustedClock(0, wall=lambda: float(now)),
    )


def member(world: World, name: str) -> Member:
    """A member as the owner's document lists it."""
    document = FixedDocument(world.payload).current().document
    return next(one for one in document.members if one.name == name)


async def meet(
    who: OwnerParty, wanted: Member, answers: Party, meets: tuple[Side, ...] = MEETS_SERVER
) -> tuple[Met, Visit]:
    """Let an owner dial a party directly; returns what each came to."""
    async with parties.listening(answers.key) as (port, accepted):
        wire = await transport.connect("127.0.0.1", port, who.key, Limits())
        outcome = await both(who, wanted, wire, answers, await accepted.get(), meets)
        wire.abort()
        return outcome


async def both(
    who: OwnerParty,
    wanted: Member,
    wire: ChannelTransport,
    answers: Party,
    theirs: ChannelTransport,
    meets: tuple[Side, ...] = MEETS_SERVER,
) -> tuple[Met, Visit]:
    """Run both ends over two connections that exist."""
    outcome = await asyncio.gather(
        channel.reach(wire, who, wanted, b"\x03" * 32),
        channel.accept(theirs, answers, b"\x04" * 32, meets=meets, on_owner=lambda: None),
        return_exceptions=True,
    )
    return outcome[0], outcome[1]


class Recorder:
    """An Attester that counts what it is asked."""

    def __init__(self, party: Party) -> None:
        self._genuine = party.attester
        self.asked: list[bytes] = []

    def available(self) -> bool:
        return True

    async def collect(self, report_data: bytes) -> Evidence:
        self.asked.append(report_data)
        return await self._genuine.collect(report_data)


def recorded(party: Party) -> tuple[Party, Recorder]:
    """The same party, with an Attester that is counted."""
    attester = Recorder(party)
    return replace(party, attester=attester), attester
