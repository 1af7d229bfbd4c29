"""The whole handshake over real TLS on loopback: what comes of it, and what ends it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from runtime.attestation.wire import Evidence
from runtime.channel import session as channel
from runtime.channel import transport
from runtime.channel.hello import Side
from runtime.channel.messages import Kind, Message
from runtime.channel.session import Session
from runtime.channel.transport import ChannelTransport
from runtime.errors import PeerError, TunnelError
from runtime.limits import Limits
from tests.channel import parties
from tests.channel.parties import CLIENT_DIGEST, Outcome, World, code, meet
from tests.fakes.fleets import NOW, FleetMember, fleet_payload


async def test_both_sides_establish_the_same_session(world: World) -> None:
    client, server = await meet(world.client, world.server)
    assert isinstance(client, Session)
    assert isinstance(server, Session)
    assert (client.id, client.join_secret, client.epoch) == (server.id, server.join_secret, 0)
    assert (client.peer.member, server.peer.member) == ("server-1", "client-1")
    assert (client.peer.grade, server.peer.grade) == ("T", "T")
    assert len(client.id) == 16
    assert len(client.join_secret) == 32


async def test_every_connection_has_its_own_secret(world: World) -> None:
    first, _ = await meet(world.client, world.server)
    second, _ = await meet(world.client, world.server)
    assert isinstance(first, Session)
    assert isinstance(second, Session)
    assert first.join_secret != second.join_secret
    assert first.id != second.id


async def test_control_messages_flow_both_ways_afterwards(world: World) -> None:
    async with parties.listening(world.server.key) as (port, accepted):
        wire = await transport.connect("127.0.0.1", port, world.client.key, Limits())
        client, server = await asyncio.gather(
            channel.establish(wire, world.client, b"\x01" * 32),
            channel.establish(await accepted.get(), world.server, b"\x02" * 32),
        )
        await client.send({"hello": "server"})
        await server.send({"hello": "client"})
        assert await server.receive() == {"hello": "server"}
        assert await client.receive() == {"hello": "client"}
        wire.close()
        with pytest.raises(PeerError):
            await server.receive()


async def test_one_side_that_never_confirms_gets_nothing(world: World) -> None:
    """The client's confirmation never arrives: the server never has a session, and says timeout."""
    strict = replace(world.server, limits=replace(world.server.limits, message_s=0.5))
    held: list[Message] = []

    def hold(_: ChannelTransport, message: Message) -> Message:
        held.append(message)
        return message

    async with parties.listening(world.server.key) as (port, accepted):
        wire = await transport.connect("127.0.0.1", port, world.client.key, Limits())
        server = asyncio.ensure_future(channel.establish(await accepted.get(), strict, b"\x02" * 32))
        genuine = wire.send

        async def send(message: Message) -> None:
            if hold(wire, message).kind is not Kind.CONFIRM:
                await genuine(message)

        wire.send = send  # type: ignore[method-assign]  # the client's confirmation is lost on purpose
        client, outcome = await asyncio.gather(
            channel.establish(wire, world.client, b"\x01" * 32), server, return_exceptions=True
        )
        assert [message.kind for message in held][-1] in (Kind.CONFIRM, Kind.REFUSED)
        assert Kind.CONFIRM in [message.kind for message in held]
        assert code(outcome) == "message_deadline"
        assert code(client) == "timeout"


async def test_a_platform_that_gives_no_evidence_in_time_ends_it(world: World) -> None:
    """configfs that blocks, or a TPM that never answers: it must not hold the connection and its place."""

    class Stuck:
        def available(self) -> bool:
            return True

        async def collect(self, report_data: bytes) -> Evidence:
            del report_data
            await asyncio.Event().wait()
            raise AssertionError

    limits = replace(world.server.limits, collect_s=0.3)
    async with asyncio.timeout(30):
        client, server = await meet(world.client, replace(world.server, attester=Stuck(), limits=limits))
    assert code(server) == "collect_deadline"
    assert "collect_s" in str(server)
    assert code(client) == "timeout"  # said by the server: a peer learns that, and not which


async def test_a_wrong_confirmation_ends_it(world: World) -> None:
    async with parties.listening(world.server.key) as (port, accepted):
        wire = await transport.connect("127.0.0.1", port, world.client.key, Limits())
        genuine = wire.send

        async def send(message: Message) -> None:
            wrong = Message(Kind.CONFIRM, bytes(32))
            await genuine(wrong if message.kind is Kind.CONFIRM else message)

        wire.send = send  # type: ignore[method-assign]  # the confirmation is forged on purpose
        client, server = await asyncio.gather(
            channel.establish(wire, world.client, b"\x01" * 32),
            channel.establish(await accepted.get(), world.server, b"\x02" * 32),
            return_exceptions=True,
        )
        assert code(server) == "confirm"
        assert code(client) == "confirm"


@pytest.mark.parametrize("kind", [Kind.HELLO, Kind.EVIDENCE])
async def test_one_flipped_bit_of_any_message_ends_it(world: World, kind: Kind) -> None:
    """The transcript covers both hellos; the confirmations cover both evidences."""

    async def attempt(offset: int) -> tuple[Outcome, Outcome]:
        async with parties.listening(world.server.key) as (port, accepted):
            wire = await transport.connect("127.0.0.1", port, world.client.key, Limits())
            genuine = wire.send

            async def send(message: Message) -> None:
                if message.kind is kind:
                    changed = bytearray(message.payload)
                    changed[offset % len(changed)] ^= 1
                    message = Message(kind, bytes(changed))
                await genuine(message)

            wire.send = send  # type: ignore[method-assign]  # one bit changes between sender and receiver
            outcome = await asyncio.gather(
                channel.establish(wire, world.client, b"\x01" * 32),
                channel.establish(await accepted.get(), world.server, b"\x02" * 32),
                return_exceptions=True,
            )
            wire.abort()
            return outcome[0], outcome[1]

    offsets = range(0, 122, 7) if kind is Kind.HELLO else range(3, 6000, 397)
    for offset in offsets:
        client, server = await attempt(offset)
        assert isinstance(client, TunnelError), offset
        assert isinstance(server, TunnelError), offset


async def test_a_wrong_clock_is_named(world: World) -> None:
    payload = world.payload
    late = parties.party(world.amd, Side.CLIENT, world.client.attester, CLIENT_DIGEST, payload, now=NOW + 301)
    _, server = await meet(late, world.server)
    assert code(server) == "clock_skew"
    assert str(NOW + 301) in str(server)
    assert str(NOW) in str(server)


async def test_two_documents_of_one_version_are_refused(world: World) -> None:
    extra = FleetMember(name="more", role="client", settings_digest=b"\x09" * 32, chip_id=b"\x08" * 64)
    other = fleet_payload([*parties.members(world.amd), extra])
    _, server = await meet(parties.with_document(world.client, other), world.server)
    assert code(server) == "document_conflict"


async def test_the_peer_learns_a_code_and_nothing_else(world: World) -> None:
    copied = replace(
        world.client, attester=parties.attester(world.amd, "another-machine", CLIENT_DIGEST, "Turin")
    )
    client, _ = await meet(copied, world.server)
    assert isinstance(client, PeerError)
    assert client.remote
    assert str(client) == "evidence_refused: closed the session (said the peer)"


async def test_control_before_confirmation_is_refused(world: World) -> None:
    """Not one tunnel byte is parsed before both have confirmed."""
    async with parties.listening(world.server.key) as (port, accepted):
        wire = await transport.connect("127.0.0.1", port, world.client.key, Limits())
        server = asyncio.ensure_future(channel.establish(await accepted.get(), world.server, b"\x02" * 32))
        await wire.send(Message(Kind.CONTROL, b'{"kind": "offer", "hostnames": ["app.test"]}'))
        with pytest.raises(PeerError, match="out_of_turn"):
            await server
        wire.abort()
