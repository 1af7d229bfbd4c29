"""Attacks on the handshake, over real TLS on loopback; `tests/broken` shows that each can succeed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from runtime.attestation.findings import Reason
from runtime.attestation.wire import Evidence
from runtime.channel import session as channel
from runtime.channel import transport
from runtime.channel.boot_key import BootKey
from runtime.channel.hello import Side
from runtime.channel.messages import Message
from runtime.channel.party import Party
from runtime.channel.session import Session
from runtime.channel.transport import ChannelTransport
from runtime.errors import PeerError
from runtime.limits import Limits
from tests.channel import parties
from tests.channel.parties import CLIENT_DIGEST, SERVER_DIGEST, Outcome, World, code, meet, refused
from tests.fakes.fleets import NOW, fleet_payload

Change = Callable[[ChannelTransport, Message], Message]


class Relay:
    """A man in the middle who ends TLS on both sides and passes every message on.

    He may have stolen channel keys: `to_client` is the key that he shows the client as the server's,
    `to_server` the one that he shows the server as the client's.
    """

    def __init__(self, to_client: BootKey, to_server: BootKey, change: Change | None = None) -> None:
        self.to_client, self.to_server = to_client, to_server
        self.change = change or (lambda _, message: message)

    async def run(self, client: Party, server: Party) -> tuple[Outcome, Outcome]:
        async with (
            parties.listening(server.key) as (server_port, server_accepted),
            parties.listening(self.to_client) as (relay_port, relay_accepted),
        ):
            victim = await transport.connect("127.0.0.1", relay_port, client.key, Limits())
            left = await relay_accepted.get()
            await left.established()
            right = await transport.connect("127.0.0.1", server_port, self.to_server, Limits())
            pumps = [asyncio.ensure_future(self._pump(*pair)) for pair in ((left, right), (right, left))]
            outcome = await asyncio.gather(
                channel.establish(victim, client, b"\x01" * 32),
                channel.establish(await server_accepted.get(), server, b"\x02" * 32),
                return_exceptions=True,
            )
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for wire in (victim, left, right):
                wire.abort()
            return outcome[0], outcome[1]

    async def _pump(self, source: ChannelTransport, sink: ChannelTransport) -> None:
        try:
            while True:
                message = self.change(source, await source.receive())
                await sink.send(message)
        except PeerError:
            sink.close()


async def test_a_relayed_handshake_is_refused(world: World) -> None:
    """The whole session is proxied to the genuine peer; the man in the middle has keys of his own."""
    mallory = BootKey.create("mallory", NOW)
    client, server = await Relay(mallory, mallory).run(world.client, world.server)
    assert refused(server).reasons == {Reason.BINDING}
    assert code(client) == "evidence_refused"


async def test_a_relayed_handshake_is_refused_even_with_both_channel_keys_stolen(world: World) -> None:
    """CVE-2026-33697: with the members' own keys only the exporter tells the two connections apart."""
    relay = Relay(world.server.key, world.client.key)
    client, server = await relay.run(world.client, world.server)
    assert refused(server).reasons == {Reason.BINDING}
    assert code(client) == "evidence_refused"


async def test_replayed_evidence_is_refused(world: World) -> None:
    """Evidence of an earlier session, genuine in every part, shown again on a new connection."""
    seen: list[Evidence] = []

    class Recorder:
        def available(self) -> bool:
            return True

        async def collect(self, report_data: bytes) -> Evidence:
            seen.append(await world.client.attester.collect(report_data))
            return seen[0]  # the first time it is fresh, later it is the old one

    client = replace(world.client, attester=Recorder())
    first, _ = await meet(client, world.server)
    assert isinstance(first, Session)
    _, server = await meet(client, world.server)
    assert refused(server).reasons == {Reason.BINDING}


async def test_evidence_of_the_other_direction_is_refused(world: World) -> None:
    """A server whose evidence was made for the client's direction of the very same connection.

    Same connection and exporter; direction, order of the keys, nonce and settings digest differ. That each of
    these counts alone is shown in tests/attestation/test_binding.py.
    """

    class Swapped:
        def available(self) -> bool:
            return True

        async def collect(self, report_data: bytes) -> Evidence:
            genuine = world.server.appraiser
            assert isinstance(genuine, parties.InlineAppraiser)
            return await world.server.attester.collect(genuine.asked[-1].binder)

    client, _ = await meet(world.client, replace(world.server, attester=Swapped()))
    assert refused(client).reasons == {Reason.BINDING}


@pytest.mark.parametrize("side", [Side.CLIENT, Side.SERVER])
async def test_settings_that_differ_by_one_byte_are_nobody(world: World, side: Side) -> None:
    digest = bytearray(CLIENT_DIGEST if side is Side.CLIENT else SERVER_DIGEST)
    digest[-1] ^= 1
    one = world.client if side is Side.CLIENT else world.server
    instance, product = ("client-1", "Turin") if side is Side.CLIENT else ("server-1", "Genoa")
    changed = replace(
        one,
        settings_digest=bytes(digest),
        attester=parties.attester(world.amd, instance, bytes(digest), product),
    )
    pair = (changed, world.server) if side is Side.CLIENT else (world.client, changed)
    client, server = await meet(*pair)
    judge = server if side is Side.CLIENT else client
    assert refused(judge).reasons == {Reason.MEMBER}


async def test_a_hello_cannot_name_settings_that_the_hardware_did_not_measure(world: World) -> None:
    """The settings digest in the hello is a member's; the TEE booted with other settings."""
    liar = replace(world.client, attester=parties.attester(world.amd, "client-1", b"\x07" * 32, "Turin"))
    _, server = await meet(liar, world.server)
    assert refused(server).reasons == {Reason.SETTINGS}


async def test_a_public_image_booted_with_another_owners_key_is_nobody(world: World) -> None:
    """Same image, same chip; the settings name another owner, so their digest is another one."""
    other = b'{"owner_keys": ["mallory"]}'.ljust(32)[:32]
    stranger = replace(
        world.client, settings_digest=other, attester=parties.attester(world.amd, "client-1", other, "Turin")
    )
    client, server = await meet(stranger, world.server)
    assert refused(server).reasons == {Reason.MEMBER}
    assert code(client) == "evidence_refused"


async def test_a_member_that_is_not_in_the_document_is_refused_before_it_costs_an_appraisal(
    world: World,
) -> None:
    payload = fleet_payload(parties.members(world.amd)[:1])
    appraiser = parties.InlineAppraiser()
    server = replace(parties.with_document(world.server, payload), appraiser=appraiser)
    client = parties.with_document(world.client, payload)
    _, outcome = await meet(client, server)
    assert refused(outcome).reasons == {Reason.MEMBER}
    assert appraiser.asked == []


async def test_copied_settings_on_another_instance_are_refused(world: World) -> None:
    """The same user-data on another machine: its chip is genuine, but not the one enrolled."""
    copied = replace(
        world.client, attester=parties.attester(world.amd, "another-machine", CLIENT_DIGEST, "Turin")
    )
    _, server = await meet(copied, world.server)
    assert refused(server).reasons == {Reason.INSTANCE}


async def test_a_member_in_the_wrong_role_is_refused(world: World) -> None:
    posing = replace(
        world.client,
        settings_digest=SERVER_DIGEST,
        attester=parties.attester(world.amd, "server-1", SERVER_DIGEST),
    )
    _, server = await meet(posing, world.server)
    assert refused(server).reasons == {Reason.ROLE}


async def test_evidence_of_another_key_is_refused(world: World) -> None:
    """Evidence bound to another TLS key than the one on this connection (identity misbinding)."""
    other_key = replace(world.client, key=BootKey.create("tunnel.test", NOW))
    collected: list[Evidence] = []

    class ForOtherKey:
        def available(self) -> bool:
            return True

        async def collect(self, report_data: bytes) -> Evidence:
            collected.append(await world.client.attester.collect(report_data))
            return collected[-1]

    # The member attests on its own connection; Mallory shows the result on his, with his key.
    genuine, _ = await meet(replace(world.client, attester=ForOtherKey()), world.server)
    assert isinstance(genuine, Session)

    class Shown:
        def available(self) -> bool:
            return True

        async def collect(self, report_data: bytes) -> Evidence:
            del report_data
            return collected[-1]

    _, server = await meet(replace(other_key, attester=Shown()), world.server)
    assert refused(server).reasons == {Reason.BINDING}
