"""An owner beside a small fleet: real servers and clients, relayed streams, the production verifier. I/O."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncGenerator
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from runtime.channel import session as channel
from runtime.channel import transport
from runtime.channel.boot_key import BootKey
from runtime.channel.party import OwnerParty
from runtime.channel.session import Reached
from runtime.clock import TrustedClock
from runtime.documents.fleet import Member
from runtime.limits import Limits
from runtime.tunnel import owner_reach
from runtime.tunnel.owner_reach import Visit
from tests.channel.owners import signer
from tests.channel.parties import InlineAppraiser
from tests.fakes.fleets import NOW
from tests.tunnel.small_fleet import SmallFleet
from tests.web.owner import KEY


def owner(fleet: SmallFleet, key: Ed25519PrivateKey = KEY) -> OwnerParty:
    """The owner of a small fleet, or somebody who says so."""
    return OwnerParty(
        key=BootKey.create("owner", NOW),
        sign=signer(key),
        appraiser=InlineAppraiser(),
        roots=fleet.amd.roots(),
        document=fleet.documents.current(),
        clock=TrustedClock(0, wall=lambda: float(NOW)),
    )


def member(fleet: SmallFleet, name: str) -> Member:
    """A member as the owner's document lists it."""
    return next(one for one in fleet.documents.current().document.members if one.name == name)


async def status_of(
    fleet: SmallFleet, name: str, who: OwnerParty | None = None
) -> tuple[Visit, dict[str, Any]]:
    """Ask a member, through server-1 if it is a client."""
    answers: list[tuple[Visit, dict[str, Any]]] = []

    async def use(visit: Visit) -> None:
        answers.append((visit, await owner_reach.ask_status(visit.channel)))

    await owner_reach.visit(who or owner(fleet), member(fleet, name), "127.0.0.1", fleet.sessions_port, use)
    [answer] = answers
    return answer


@contextlib.asynccontextmanager
async def at_server(fleet: SmallFleet, who: OwnerParty | None = None) -> AsyncGenerator[Reached, None]:
    """A channel of an owner with server-1, driven by hand."""
    who = who or owner(fleet)
    wire = await transport.connect("127.0.0.1", fleet.sessions_port, who.key, Limits())
    try:
        yield await channel.reach(wire, who, None, secrets.token_bytes(32))
    finally:
        wire.abort()
        await wire.closed
