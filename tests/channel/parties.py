"""Two members that can attest to each other, and the wires between them: for the channel's tests. I/O."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from hashlib import sha256

from runtime.attestation import verifier
from runtime.attestation.attester import Attester
from runtime.attestation.findings import EvidenceRefusedError
from runtime.attestation.result import AttestationResult
from runtime.attestation.verifier import AppraisalRequest
from runtime.channel import session as channel
from runtime.channel import transport
from runtime.channel.boot_key import BootKey
from runtime.channel.hello import Side
from runtime.channel.party import CurrentDocument, Party
from runtime.channel.session import Session
from runtime.channel.transport import ChannelTransport
from runtime.clock import TrustedClock
from runtime.documents import fleet
from runtime.errors import TunnelError
from runtime.limits import Limits
from tests.fakes.amd import FakeAmd, SimulatedSnpAttester
from tests.fakes.fleets import MEASUREMENT, NOW, FleetMember, fleet_payload
from tests.web.owner import PUBLIC

Outcome = Session | BaseException

SERVER_DIGEST = sha256(b"settings of server-1").digest()
CLIENT_DIGEST = sha256(b"settings of client-1").digest()


class InlineAppraiser:
    """The production verifier, in this process; counts what it was asked."""

    def __init__(self) -> None:
        self.asked: list[AppraisalRequest] = []

    async def appraise(self, request: AppraisalRequest, *, source: str) -> AttestationResult:
        del source
        self.asked.append(request)
        return verifier.appraise(request)


@dataclass
class FixedDocument:
    """A fleet document in force."""

    payload: bytes
    refreshed: int = 0

    def refresh(self) -> None:
        self.refreshed += 1

    async def from_urls(self) -> None:
        self.refreshed += 1

    async def accept(self, envelope: bytes) -> bool:
        self.payload = envelope
        return True

    def current(self) -> CurrentDocument:
        return CurrentDocument(envelope=b"", payload=self.payload, document=fleet.read(self.payload))


@dataclass(frozen=True)
class World:
    """A fleet of one server and one client."""

    amd: FakeAmd
    payload: bytes
    server: Party
    client: Party


def members(amd: FakeAmd) -> list[FleetMember]:
    """The two members as the owner lists them."""
    return [
        FleetMember(
            name="server-1",
            role="server",
            settings_digest=SERVER_DIGEST,
            chip_id=amd.chip("server-1").chip_id,
        ),
        FleetMember(
            name="client-1",
            role="client",
            settings_digest=CLIENT_DIGEST,
            chip_id=amd.chip("client-1", "Turin").chip_id,
            hostnames=("app.test",),
        ),
    ]


def attester(amd: FakeAmd, instance: str, digest: bytes, product: str = "Genoa") -> SimulatedSnpAttester:
    """A simulated TEE of one instance."""
    chip = amd.chip(instance, product)  # type: ignore[arg-type]  # a product's name in a test
    return SimulatedSnpAttester(chip=chip, measurement=MEASUREMENT, host_data=digest)


def world(amd: FakeAmd) -> World:
    """Build the fleet."""
    payload = fleet_payload(members(amd))
    return World(
        amd=amd,
        payload=payload,
        server=party(amd, Side.SERVER, attester(amd, "server-1", SERVER_DIGEST), SERVER_DIGEST, payload),
        client=party(
            amd, Side.CLIENT, attester(amd, "client-1", CLIENT_DIGEST, "Turin"), CLIENT_DIGEST, payload
        ),
    )


def party(
    amd: FakeAmd,
    side: Side,
    of: Attester,
    digest: bytes,
    payload: bytes,
    *,
    now: int = NOW,
    limits: Limits | None = None,
) -> Party:
    """One side, with everything as in production but the roots."""
    return Party(
        side=side,
        key=BootKey.create("tunnel.test", now),
        settings_digest=digest,
        owner_keys=(PUBLIC,),
        attester=of,
        appraiser=InlineAppraiser(),
        roots=amd.roots(),
        documents=FixedDocument(payload),
        clock=TrustedClock(0, wall=lambda: float(now)),
        limits=limits or Limits(),
    )


def with_document(one: Party, payload: bytes) -> Party:
    """The same side under another document."""
    return replace(one, documents=FixedDocument(payload))


@contextlib.asynccontextmanager
async def listening(
    key: BootKey, side: Side = Side.SERVER
) -> AsyncGenerator[tuple[int, asyncio.Queue[ChannelTransport]], None]:
    """Accept connections on an ephemeral port; yields the port and the queue of accepted transports."""
    accepted: asyncio.Queue[ChannelTransport] = asyncio.Queue()
    every: list[ChannelTransport] = []

    def accept() -> ChannelTransport:
        transport = ChannelTransport(side, key, Limits())
        every.append(transport)
        accepted.put_nowait(transport)
        return transport

    server = await asyncio.get_running_loop().create_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], accepted
    finally:
        server.close()
        for transport in every:
            transport.abort()
        await asyncio.sleep(0)


async def meet(client: Party, server: Party) -> tuple[Outcome, Outcome]:
    """Let two sides meet; returns what each came to: a session, or the error that ended it."""
    async with listening(server.key) as (port, accepted):
        wire = await transport.connect("127.0.0.1", port, client.key, Limits())
        theirs = await accepted.get()
        outcome = await asyncio.gather(
            channel.establish(wire, client, b"\x01" * 32),
            channel.establish(theirs, server, b"\x02" * 32),
            return_exceptions=True,
        )
        wire.abort()
        return outcome[0], outcome[1]


def refused(outcome: Outcome) -> EvidenceRefusedError:
    """The refusal that an outcome has to be."""
    assert isinstance(outcome, EvidenceRefusedError), outcome
    return outcome


def code(outcome: Outcome) -> str:
    """The code of the error that an outcome has to be."""
    assert isinstance(outcome, TunnelError), outcome
    return outcome.code
