"""A document that comes into force while a session is being made, or attests: it is applied, and at once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from runtime.attestation import verifier
from runtime.attestation.result import AttestationResult
from runtime.attestation.verifier import AppraisalRequest
from runtime.channel.session import Session
from runtime.errors import PeerError
from runtime.limits import Limits
from runtime.tunnel.live_session import LiveSession
from runtime.tunnel.server import TunnelServer
from runtime.tunnel.session_messages import Answer, AttestAgain, ControlMessage, DataPlan, Offer, Serving
from tests.channel.parties import FixedDocument, InlineAppraiser
from tests.fakes.amd import FakeAmd
from tests.tunnel.rig import until
from tests.tunnel.small_fleet import HOSTNAMES, LIMITS, SmallFleet, hear, say

HOST = "app.test"
WITHOUT_CLIENT_1 = {name: names for name, names in HOSTNAMES.items() if name != "client-1"}
ANOTHER_IMAGE = b"\x99" * 48


@dataclass
class Meanwhile:
    """The server's appraiser, during which something else happens once."""

    then: Callable[[], None] | None = None

    async def appraise(self, request: AppraisalRequest, *, source: str) -> AttestationResult:
        result = verifier.appraise(request)
        if self.then is not None:
            then, self.then = self.then, None
            then()
        return result


@dataclass
class Scene:
    """A server, and a client-1 that keeps the first document whatever the server has in force."""

    fleet: SmallFleet
    server: TunnelServer
    meanwhile: Meanwhile
    old: FixedDocument

    def publish(self, version: int, hostnames: Any = HOSTNAMES, **options: Any) -> None:
        """Put a document in force at the server."""
        self.fleet.documents.payload = self.fleet.payload(hostnames, version=version, **options)
        self.server.document_changed()

    async def dial(self) -> Session:
        return await self.fleet.dial("client-1", documents=self.old, appraiser=InlineAppraiser())

    @property
    def live(self) -> LiveSession:
        [one] = self.server.sessions()
        return one


@contextlib.asynccontextmanager
async def scene(amd: FakeAmd, limits: Limits) -> AsyncGenerator[Scene, None]:
    fleet, meanwhile = SmallFleet(amd, limits=limits), Meanwhile()
    fleet.parties["server-1"] = replace(fleet.party("server-1"), appraiser=meanwhile)
    old = FixedDocument(fleet.documents.payload)
    async with fleet.server() as server:
        yield Scene(fleet, server, meanwhile, old)


@contextlib.asynccontextmanager
async def listening(session: Session) -> AsyncGenerator[asyncio.Queue[ControlMessage], None]:
    """Read all that the server sends, as a later attestation needs it."""
    heard: asyncio.Queue[ControlMessage] = asyncio.Queue()

    async def listen() -> None:
        with contextlib.suppress(PeerError, TimeoutError):
            while True:
                heard.put_nowait(await hear(session, 60))

    task = asyncio.create_task(listen())
    try:
        yield heard
    finally:
        task.cancel()
        await asyncio.wait({task})
        session.transport.abort()
        await session.transport.closed


async def wait_for(heard: asyncio.Queue[ControlMessage], kind: type[ControlMessage]) -> ControlMessage:
    async with asyncio.timeout(20):
        while not isinstance(message := await heard.get(), kind):
            pass
    return message


PATIENT = replace(LIMITS, silent_s=60.0)  # nobody pings here, and silence is not what is to end a session


async def test_a_member_dropped_while_it_was_attesting_gets_no_session(
    amd: FakeAmd, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tunnel.server")
    async with scene(amd, PATIENT) as at:
        at.meanwhile.then = lambda: at.publish(2, WITHOUT_CLIENT_1)

        async def dialled() -> None:
            session = await at.dial()
            try:
                await hear(session, 20)
            finally:
                session.transport.abort()

        with pytest.raises(PeerError):
            await dialled()
        await until(lambda: not at.server.sessions(), 20)
        await until(lambda: "session ended" in caplog.messages, 20)
    [end] = [record.__dict__["fields"] for record in caplog.records if record.message == "session ended"]
    assert end["reason"] == "not_a_member"


async def test_an_image_revoked_while_it_was_attesting_is_asked_for_again(amd: FakeAmd) -> None:
    """It was accepted under the document before; that does not give it the hour until the next epoch."""
    async with scene(amd, replace(PATIENT, late_s=0.5)) as at:
        at.meanwhile.then = lambda: at.publish(2, measurement=ANOTHER_IMAGE)
        session = await at.dial()
        try:
            assert isinstance(await hear(session, 20), DataPlan)
            assert await hear(session, 20) == AttestAgain(reason="document")
        finally:
            session.transport.abort()
            await session.transport.closed


async def test_an_epoch_begun_under_the_old_document_is_no_answer_for_the_new_one(amd: FakeAmd) -> None:
    """A client that has one under way whenever a document comes, and then ignores what it is asked."""
    async with scene(amd, replace(PATIENT, late_s=2.0)) as at:
        session = await at.dial()
        assert isinstance(await hear(session, 20), DataPlan)
        one = at.live
        at.meanwhile.then = lambda: at.publish(2, measurement=ANOTHER_IMAGE)
        async with listening(session):
            await session.attest_again(secrets.token_bytes(32))
            await until(lambda: not at.server.sessions(), 20)
        assert one.ended_by == "attestation_late"


async def test_a_third_document_does_not_undo_the_answer_to_the_second(amd: FakeAmd) -> None:
    """The epoch under way is what the second asked for; for the third the client is asked at once."""
    async with scene(amd, PATIENT) as at:
        at.old = at.fleet.documents
        session = await at.dial()
        assert isinstance(await hear(session, 20), DataPlan)
        one = at.live
        async with listening(session) as heard:
            at.publish(2)
            await wait_for(heard, AttestAgain)
            at.meanwhile.then = lambda: at.publish(3)
            await session.attest_again(secrets.token_bytes(32))
            await wait_for(heard, AttestAgain)
            await session.attest_again(secrets.token_bytes(32))
            await until(one._attested.is_set, 20)
            assert (one.session.epoch, one.session.under.version) == (2, 3)
            assert at.server.sessions() == [one]


async def test_a_hostname_withdrawn_while_an_attestation_is_waited_for_goes_at_once(amd: FakeAmd) -> None:
    async with scene(amd, PATIENT) as at:
        session = await at.dial()
        async with listening(session) as heard:
            await say(session, Offer(hostnames=(HOST, "a.shop.test")))
            answer = await wait_for(heard, Answer)
            assert isinstance(answer, Answer)
            await say(session, Serving(n=answer.n))
            one = at.live
            await until(lambda: one.routed == (HOST, "a.shop.test"), 20)
            at.publish(2)
            await wait_for(heard, AttestAgain)  # and it takes its time
            at.publish(3, {**HOSTNAMES, "client-1": ("a.shop.test",)})
            assert (one.granted, one.routed) == (("a.shop.test",), ("a.shop.test",))
            # What the client says of the answer before does not bring it back.
            answers = one._answers
            await say(session, Serving(n=answers))
            await say(session, Offer(hostnames=(HOST,)))
            await until(lambda: one._answers > answers, 20)
            assert one.routed == ()
