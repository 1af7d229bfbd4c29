"""Attesting again on a live connection: a new epoch with a new secret, or the end of the session."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest

from runtime.attestation.findings import EvidenceRefusedError, Reason
from runtime.attestation.wire import Evidence
from runtime.channel import session as channel
from runtime.channel import transport
from runtime.channel.messages import Kind, Message
from runtime.channel.party import Party
from runtime.channel.session import Session
from runtime.errors import PeerError, TunnelError
from runtime.limits import Limits
from tests.channel import parties
from tests.channel.parties import CLIENT_DIGEST, FixedDocument, World
from tests.fakes.fleets import fleet_payload

NONCE = (b"\x03" * 32, b"\x04" * 32)

HASTY = Limits(message_s=1.0)  # nobody here ends the side that is left waiting


class Pair:
    """Two live sessions whose control messages are being received."""

    def __init__(self, client: Session, server: Session) -> None:
        self.client, self.server = client, server
        self.heard: list[dict[str, Any]] = []
        self.ended: dict[str, TunnelError] = {}
        loop = asyncio.get_running_loop()
        self.tasks = [
            loop.create_task(self._listen("client", client)),
            loop.create_task(self._listen("server", server)),
        ]

    async def _listen(self, name: str, session: Session) -> None:
        try:
            while True:
                self.heard.append(await session.receive())
        except TunnelError as error:
            self.ended[name] = error

    async def again(self) -> tuple[BaseException | None, BaseException | None]:
        """Both sides attest once more."""
        outcome = await asyncio.gather(
            self.client.attest_again(NONCE[0]),
            self.server.answer_attestation(NONCE[1]),
            return_exceptions=True,
        )
        return outcome[0], outcome[1]


@contextlib.asynccontextmanager
async def live(client: Party, server: Party) -> AsyncGenerator[Pair, None]:
    async with parties.listening(server.key) as (port, accepted):
        wire = await transport.connect("127.0.0.1", port, client.key, Limits())
        one, other = await asyncio.gather(
            channel.establish(wire, client, b"\x01" * 32),
            channel.establish(await accepted.get(), server, b"\x02" * 32),
        )
        pair = Pair(one, other)
        yield pair
        wire.abort()
        for task in pair.tasks:
            task.cancel()
        await asyncio.gather(*pair.tasks, return_exceptions=True)


async def test_a_new_epoch_has_a_new_secret_and_the_session_keeps_its_name(world: World) -> None:
    async with live(world.client, world.server) as pair:
        name, secrets = pair.client.id, {pair.client.join_secret}
        for epoch in (1, 2, 3):
            assert await pair.again() == (None, None)
            assert (pair.client.epoch, pair.server.epoch) == (epoch, epoch)
            assert pair.client.join_secret == pair.server.join_secret
            secrets.add(pair.client.join_secret)
        assert len(secrets) == 4
        assert (pair.client.id, pair.server.id) == (name, name)
        assert (pair.client.peer.member, pair.server.peer.member) == ("server-1", "client-1")


async def test_control_messages_flow_meanwhile(world: World) -> None:
    async with live(world.client, world.server) as pair:
        renewing = asyncio.ensure_future(pair.again())
        for n in range(20):
            await pair.client.send({"from client": n})
            await pair.server.send({"from server": n})
            await asyncio.sleep(0)
        assert await renewing == (None, None)
        async with asyncio.timeout(20):
            while len(pair.heard) < 40:  # noqa: ASYNC110 - a test looks from outside
                await asyncio.sleep(0.01)


async def test_a_member_that_the_new_document_drops_is_refused_and_the_session_ends(world: World) -> None:
    server = replace(world.server, documents=FixedDocument(world.payload), limits=HASTY)
    async with live(replace(world.client, limits=HASTY), server) as pair:
        documents = server.documents
        assert isinstance(documents, FixedDocument)
        documents.payload = fleet_payload(parties.members(world.amd)[:1], version=2)
        client, refused = await pair.again()
        assert isinstance(refused, EvidenceRefusedError)
        assert refused.reasons == {Reason.MEMBER}
        assert isinstance(client, TunnelError)
        assert pair.client.epoch == 0


async def test_evidence_of_the_first_epoch_does_not_do_for_the_second(
    world: World,
) -> None:
    world = replace(
        world, client=replace(world.client, limits=HASTY), server=replace(world.server, limits=HASTY)
    )
    seen: list[Evidence] = []

    class Recorder:
        def available(self) -> bool:
            return True

        async def collect(self, report_data: bytes) -> Evidence:
            seen.append(await world.client.attester.collect(report_data))
            return seen[0]

    async with live(replace(world.client, attester=Recorder()), world.server) as pair:
        _, refused = await pair.again()
        assert isinstance(refused, EvidenceRefusedError)
        assert refused.reasons == {Reason.BINDING}


async def test_a_newer_document_of_the_peer_makes_us_look_for_it_once_both_confirmed(world: World) -> None:
    documents = FixedDocument(world.payload)
    newer = fleet_payload(parties.members(world.amd), version=2)
    client = replace(world.client, documents=documents)
    async with live(client, parties.with_document(world.server, newer)):
        assert documents.refreshed == 1


@pytest.mark.parametrize("kind", [Kind.HELLO, Kind.EVIDENCE, Kind.CONFIRM])
async def test_a_server_cannot_begin_an_epoch(world: World, kind: Kind) -> None:
    async with live(world.client, world.server) as pair:
        await pair.server.transport.send(Message(kind, b"x" * 32))
        async with asyncio.timeout(20):
            await asyncio.wait(pair.tasks, return_when=asyncio.FIRST_COMPLETED)
        assert pair.ended["client"].code == "out_of_turn"


async def test_a_client_that_sends_many_is_cut_off(world: World) -> None:
    async with live(world.client, world.server) as pair:
        answering = asyncio.ensure_future(pair.server.answer_attestation(NONCE[1]))
        for _ in range(6):
            await pair.client.transport.send(Message(Kind.CONFIRM, b"x" * 32))
        outcome = (await asyncio.gather(answering, return_exceptions=True))[0]
        assert isinstance(outcome, PeerError)
        async with asyncio.timeout(20):
            await asyncio.wait(pair.tasks)
        assert "server" in pair.ended


async def test_a_peer_that_becomes_another_member_is_refused(world: World) -> None:
    """Same connection and keys, but settings of another member, enrolled and genuine in themselves."""
    other = b"\x0c" * 32
    chip = world.amd.chip("client-2", "Turin").chip_id
    second = replace(parties.members(world.amd)[1], name="client-2", settings_digest=other, chip_id=chip)
    payload = fleet_payload([*parties.members(world.amd), second])
    server = parties.with_document(world.server, payload)
    async with live(parties.with_document(world.client, payload), server) as pair:
        posing = replace(
            pair.client._party,
            settings_digest=other,
            attester=parties.attester(world.amd, "client-2", other, "Turin"),
        )
        pair.client._party = posing
        _, refused = await pair.again()
        assert isinstance(refused, PeerError)
        assert "another member" in str(refused)
        assert pair.server.member.settings_digest == CLIENT_DIGEST
