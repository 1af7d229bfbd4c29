"""The owner on the channel, and who pretends to be one: over real TLS on loopback."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from runtime.attestation.findings import EvidenceRefusedError, Reason
from runtime.attestation.wire import Evidence
from runtime.channel import session as channel
from runtime.channel import transport
from runtime.channel.boot_key import BootKey
from runtime.channel.hello import Side
from runtime.channel.messages import Kind, Message
from runtime.channel.party import OwnerParty, Party, Sign
from runtime.channel.session import OwnerVisit, Reached
from runtime.channel.transport import ChannelTransport
from runtime.errors import PeerError, TunnelError
from runtime.limits import Limits
from tests.channel import owners, parties
from tests.channel.owners import MEETS_CLIENT, MEETS_SERVER, Met, Visit, member, owner
from tests.channel.parties import World
from tests.fakes.fleets import NOW
from tests.web.owner import MALLORY, PUBLIC


def code(outcome: Met | Visit) -> str:
    assert isinstance(outcome, TunnelError), outcome
    return outcome.code


@pytest.mark.parametrize(("name", "meets"), [("server-1", MEETS_SERVER), ("client-1", MEETS_CLIENT)])
async def test_an_owner_meets_a_member_and_each_knows_the_other(
    world: World, name: str, meets: tuple[Side, ...]
) -> None:
    party = world.server if name == "server-1" else world.client
    met, visit = await owners.meet(owner(world), member(world, name), party, meets)
    assert isinstance(met, Reached)
    assert isinstance(visit, OwnerVisit)
    assert (met.peer.member, met.peer.grade) == (name, "T")
    assert visit.owner_key == PUBLIC
    assert not hasattr(visit.channel, "join_secret")


async def test_either_of_two_owner_keys_signs(world: World) -> None:
    second = Ed25519PrivateKey.from_private_bytes(b"\x05" * 32)
    keys = (PUBLIC, second.public_key().public_bytes_raw())
    server = replace(world.server, owner_keys=keys)
    for key in (None, second):
        met, visit = await owners.meet(
            owner(world, *([key] if key else [])), member(world, "server-1"), server
        )
        assert isinstance(met, Reached)
        assert isinstance(visit, OwnerVisit)
        assert visit.owner_key == keys[0 if key is None else 1]


async def test_a_false_owner_is_refused_before_the_member_collects_anything(world: World) -> None:
    server, attester = owners.recorded(world.server)
    met, visit = await owners.meet(owner(world, MALLORY), member(world, "server-1"), server)
    assert (code(visit), code(met)) == ("owner_refused", "owner_refused")
    assert attester.asked == []


async def test_who_has_no_place_is_refused_at_its_hello(world: World) -> None:
    def full() -> None:
        raise PeerError("busy", "no place")

    async with parties.listening(world.server.key) as (port, accepted):
        who = owner(world)
        wire = await transport.connect("127.0.0.1", port, who.key, Limits())
        met, visit = await asyncio.gather(
            channel.reach(wire, who, member(world, "server-1"), b"\x03" * 32),
            channel.accept(
                await accepted.get(), world.server, b"\x04" * 32, meets=MEETS_SERVER, on_owner=full
            ),
            return_exceptions=True,
        )
        wire.abort()
    assert isinstance(met, PeerError)
    assert isinstance(visit, PeerError)
    assert (met.code, met.remote, visit.code) == ("busy", True, "busy")


@pytest.mark.parametrize(("answers", "wanted"), [("client-1", "server-1"), ("server-1", "client-1")])
async def test_a_member_of_the_other_role_cannot_answer_for_the_one_that_is_meant(
    world: World, answers: str, wanted: str
) -> None:
    """A server that relays an owner's stream, and answers it itself: its evidence is not the client's."""
    party = world.server if answers == "server-1" else world.client
    meets = MEETS_SERVER if answers == "server-1" else MEETS_CLIENT
    signed: list[bytes] = []
    who = replace(owner(world), sign=_noting(signed))
    met, visit = await owners.meet(who, member(world, wanted), party, meets)
    assert code(met) == "role"
    assert isinstance(visit, TunnelError)
    assert signed == []  # it got no signature either


async def test_a_server_that_takes_the_clients_name_is_refused_by_its_evidence(world: World) -> None:
    """It says that it is the client, with the client's settings digest, and has only its own TEE."""
    wanted = member(world, "client-1")
    liar = replace(world.server, side=Side.CLIENT, settings_digest=wanted.settings_digest)
    met, _ = await owners.meet(owner(world), wanted, liar, MEETS_CLIENT)
    assert isinstance(met, EvidenceRefusedError)
    assert {Reason.SETTINGS, Reason.INSTANCE} <= met.reasons


async def test_another_member_of_the_same_role_gets_no_signature(world: World) -> None:
    signed: list[bytes] = []
    who = replace(owner(world), sign=_noting(signed))
    other = replace(member(world, "server-1"), name="server-2", settings_digest=b"\x09" * 32)
    met, _ = await owners.meet(who, other, world.server)
    assert code(met) == "other_member"
    assert "server-1 answered, want server-2" in str(met)
    assert signed == []


class Between:
    """Ends TLS on both sides with keys of his own, or stolen ones, and passes every message on."""

    def __init__(self, to_owner: BootKey, to_member: BootKey) -> None:
        self.to_owner, self.to_member = to_owner, to_member

    async def run(self, who: OwnerParty, name: str, world: World, answers: Party) -> tuple[Met, Visit]:
        async with (
            parties.listening(answers.key) as (port, accepted),
            parties.listening(self.to_owner) as (relay_port, relay_accepted),
        ):
            victim = await transport.connect("127.0.0.1", relay_port, who.key, Limits())
            left = await relay_accepted.get()
            await left.established()
            right = await transport.connect("127.0.0.1", port, self.to_member, Limits())
            pumps = [asyncio.ensure_future(pump(*pair)) for pair in ((left, right), (right, left))]
            outcome = await owners.both(who, member(world, name), victim, answers, await accepted.get())
            for one in pumps:
                one.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for wire in (victim, left, right):
                wire.abort()
            return outcome


async def pump(source: ChannelTransport, sink: ChannelTransport) -> None:
    with contextlib.suppress(PeerError):
        while True:
            await sink.send(await source.receive())
    sink.close()


@pytest.mark.parametrize("stolen", [False, True], ids=["own keys", "both channel keys stolen"])
async def test_a_signature_is_worth_nothing_on_another_connection(world: World, stolen: bool) -> None:
    """An owner's signature relayed: with every TLS key stolen, only the exporter tells the two apart."""
    who = owner(world)
    mallory = BootKey.create("mallory", NOW)
    between = Between(world.server.key if stolen else mallory, who.key if stolen else mallory)
    server, attester = owners.recorded(world.server)
    met, visit = await between.run(who, "server-1", world, server)
    assert (code(visit), code(met)) == ("owner_refused", "owner_refused")
    assert attester.asked == []


async def test_a_signature_made_for_one_member_is_refused_by_another(world: World) -> None:
    """The owner opens a channel to a member that is broken into; it shows the signature to another member."""
    heard: list[bytes] = []
    who = replace(owner(world), sign=_noting(heard))
    await owners.meet(who, member(world, "server-1"), world.server)

    async def replay(_message: bytes) -> bytes:
        return (await owners.signer()(heard[0])) if heard else b""

    met, visit = await owners.meet(
        replace(who, sign=replay), member(world, "client-1"), world.client, MEETS_CLIENT
    )
    assert (code(visit), code(met)) == ("owner_refused", "owner_refused")


async def test_a_recorded_signature_is_refused_on_a_later_connection(world: World) -> None:
    heard: list[bytes] = []
    who = replace(owner(world), sign=_noting(heard))
    first, _ = await owners.meet(who, member(world, "server-1"), world.server)
    assert isinstance(first, Reached)

    async def replay(_message: bytes) -> bytes:
        return await owners.signer()(heard[0])

    met, visit = await owners.meet(replace(who, sign=replay), member(world, "server-1"), world.server)
    assert (code(visit), code(met)) == ("owner_refused", "owner_refused")


async def test_evidence_of_a_session_does_not_stand_for_evidence_to_an_owner(world: World) -> None:
    """The same TEE, the same member; what differs is the binder, whose label is the owner's."""
    sessions: list[bytes] = []

    class Noting(owners.Recorder):
        async def collect(self, report_data: bytes) -> Evidence:
            sessions.append(report_data)
            return await super().collect(sessions[0])

    server = replace(world.server, attester=Noting(world.server))
    client, _ = await parties.meet(world.client, server)
    assert isinstance(client, channel.Session)
    met, _ = await owners.meet(owner(world), member(world, "server-1"), server)
    assert isinstance(met, EvidenceRefusedError)
    assert met.reasons == {Reason.BINDING}


async def test_a_client_cannot_pass_as_an_owner_nor_an_owner_as_a_client(world: World) -> None:
    """Who meets members only takes no owner; a client that signs, and an owner that shows evidence."""
    met, visit = await owners.meet(
        owner(world), member(world, "server-1"), world.server, meets=(Side.CLIENT,)
    )
    assert (code(visit), code(met)) == ("role", "role")


async def test_an_owner_whose_hello_has_settings_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.channel.exchange.NO_SETTINGS", b"\x01" * 32)
    met, visit = await owners.meet(owner(world), member(world, "server-1"), world.server)
    assert (code(visit), code(met)) == ("malformed", "malformed")


async def test_an_owner_that_relays_or_controls_before_both_confirmed_is_refused(world: World) -> None:
    for early in (Message(Kind.CONTROL, b"{}"), Message(Kind.RELAY, b"\x01" + bytes(4))):
        async with parties.listening(world.server.key) as (port, accepted):
            wire = await transport.connect("127.0.0.1", port, BootKey.create("owner", NOW), Limits())
            answering = asyncio.ensure_future(
                channel.accept(
                    await accepted.get(),
                    world.server,
                    b"\x04" * 32,
                    meets=MEETS_SERVER,
                    on_owner=lambda: None,
                )
            )
            await wire.send(early)
            with pytest.raises(PeerError, match="out_of_turn"):
                await answering
            wire.abort()


def _noting(heard: list[bytes]) -> Sign:
    async def sign(message: bytes) -> bytes:
        heard.append(message)
        return await owners.signer()(message)

    return sign
