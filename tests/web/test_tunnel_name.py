"""Endpoint evidence: it verifies as that and as nothing else, and whoever asks badly gets none."""

from __future__ import annotations

import asyncio
import base64
import secrets
from typing import Any

import pytest

from runtime.attestation import binding, verifier
from runtime.attestation.findings import EvidenceRefusedError, Reason
from runtime.attestation.verifier import AppraisalRequest
from runtime.attestation.wire import Evidence
from runtime.config import EVIDENCE_PATH
from runtime.errors import UnreachableError
from runtime.web import tunnel_name
from runtime.web.tunnel_name import endpoint_bound
from tests.channel import parties
from tests.channel.parties import SERVER_DIGEST, World
from tests.fakes.amd import FakeAmd
from tests.fakes.fleets import NOW
from tests.localfleet.listener import Listener
from tests.web.asking import Reply, ask

MAX_ASKING = 8


@pytest.fixture(scope="module")
def world(amd: FakeAmd) -> World:
    return parties.world(amd)


def endpoint(world: World, attester: Any = None) -> Listener:
    party = world.server
    return Listener(
        tunnel_name.application(
            attester=attester or party.attester,
            spki=party.key.spki,
            settings_digest=party.settings_digest,
            is_ready=lambda: True,
            most_askers=MAX_ASKING,
        )
    )


def nonce() -> bytes:
    return secrets.token_bytes(32)


async def evidence(listener: Listener, nonce: bytes) -> Reply:
    return await ask(listener, f"{EVIDENCE_PATH}?nonce={nonce.hex()}")


def request(world: World, answer: Reply, binder: bytes) -> AppraisalRequest:
    return AppraisalRequest(
        evidence=base64.b64decode(answer.json()["evidence"]),
        binder=binder,
        settings_digest=SERVER_DIGEST,
        role="server",
        document=world.payload,
        roots=world.amd.roots(),
        now=NOW,
    )


async def test_the_evidence_verifies_for_this_key_and_this_nonce(world: World) -> None:
    mine = nonce()
    async with endpoint(world) as listener:
        answer = await evidence(listener, mine)
    assert answer.status == 200
    assert set(answer.json()) == {"evidence", "settings_sha256", "nonce"}
    assert (answer.json()["settings_sha256"], answer.json()["nonce"]) == (SERVER_DIGEST.hex(), mine.hex())
    spki = world.server.key.spki
    binder = endpoint_bound(spki=spki, nonce=mine, settings_digest=SERVER_DIGEST).binder
    assert verifier.appraise(request(world, answer, binder)).member == "server-1"
    for other in (
        endpoint_bound(spki=spki, nonce=nonce(), settings_digest=SERVER_DIGEST).binder,
        endpoint_bound(spki=world.client.key.spki, nonce=mine, settings_digest=SERVER_DIGEST).binder,
        endpoint_bound(spki=spki, nonce=mine, settings_digest=parties.CLIENT_DIGEST).binder,
    ):
        with pytest.raises(EvidenceRefusedError) as caught:
            verifier.appraise(request(world, answer, other))
        assert caught.value.reasons == {Reason.BINDING}


@pytest.mark.parametrize("label", [label for label in binding.Label if label is not binding.Label.ENDPOINT])
@pytest.mark.parametrize("direction", list(binding.Direction))
async def test_it_never_verifies_under_another_label(
    world: World, label: binding.Label, direction: binding.Direction
) -> None:
    """Whatever an asker chooses as nonce: what is signed here is no evidence for a session."""
    mine, spki = nonce(), world.server.key.spki
    async with endpoint(world) as listener:
        answer = await evidence(listener, mine)
    binder = binding.binder(
        label=label,
        direction=direction,
        epoch=0,
        transcript=bytes(32),
        exporter=bytes(32),
        spki_attester=spki,
        spki_verifier=spki,
        verifier_nonce=mine,
        settings_digest=SERVER_DIGEST,
    )
    with pytest.raises(EvidenceRefusedError) as caught:
        verifier.appraise(request(world, answer, binder))
    assert caught.value.reasons == {Reason.BINDING}


BAD_NONCES = [
    "",
    "?nonce=",
    "?nonce=zz",
    f"?nonce={'ab' * 31}",
    f"?nonce={'ab' * 33}",
    "?nonce=" + "%00" * 32,
]


@pytest.mark.parametrize("query", BAD_NONCES)
async def test_a_bad_nonce_costs_no_evidence(world: World, query: str) -> None:
    class Never:
        def available(self) -> bool:
            return True

        async def collect(self, report_data: bytes) -> Evidence:
            raise AssertionError(report_data)

    async with endpoint(world, Never()) as listener:
        assert (await ask(listener, EVIDENCE_PATH + query)).status == 400


async def test_there_is_nothing_else(world: World) -> None:
    async with endpoint(world) as listener:
        for path in ("/", "/status", "/metrics", "/healthz", EVIDENCE_PATH + "/x"):
            assert (await ask(listener, path)).status == 404
        assert (await ask(listener, EVIDENCE_PATH, method="POST", data=b"x" * 100_000)).status == 405
        assert (await ask(listener, "/readyz")).status == 200


class Slow:
    """Collects when told; counts how many collect at once."""

    def __init__(self, world: World) -> None:
        self._world, self.now, self.most, self.go = world, 0, 0, asyncio.Event()

    def available(self) -> bool:
        return True

    async def collect(self, report_data: bytes) -> Evidence:
        self.now += 1
        self.most = max(self.most, self.now)
        await self.go.wait()
        self.now -= 1
        return await self._world.server.attester.collect(report_data)


async def test_many_askers_are_told_to_come_back_and_one_is_served_at_a_time(world: World) -> None:
    slow = Slow(world)
    async with endpoint(world, slow) as listener:
        asking = [asyncio.create_task(evidence(listener, nonce())) for _ in range(MAX_ASKING + 3)]
        async with asyncio.timeout(20):
            while sum(task.done() for task in asking) < 3:  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(0.01)
        slow.go.set()
        answers = await asyncio.gather(*asking)
        assert sorted(answer.status for answer in answers) == [200] * MAX_ASKING + [503] * 3
        assert [answer.json() for answer in answers if answer.status == 503] == [
            {"error": "evidence_busy"}
        ] * 3
        assert {answer.headers.get("Retry-After") for answer in answers if answer.status == 503} == {"2"}
        assert slow.most == 1
        assert (await evidence(listener, nonce())).status == 200


async def test_a_tee_that_fails_is_busy_not_broken(world: World) -> None:
    class Broken:
        def available(self) -> bool:
            return True

        async def collect(self, report_data: bytes) -> Evidence:
            del report_data
            raise UnreachableError("the device at /dev/secret/path")

    async with endpoint(world, Broken()) as listener:
        for _ in range(MAX_ASKING + 1):  # a failure gives its place back
            answer = await evidence(listener, nonce())
            assert (answer.status, answer.json()) == (503, {"error": "unreachable"})


async def test_readiness_is_the_servers(world: World) -> None:
    app = tunnel_name.application(
        attester=world.server.attester,
        spki=b"",
        settings_digest=bytes(32),
        is_ready=lambda: False,
        most_askers=1,
    )
    async with Listener(app) as listener:
        assert (await ask(listener, "/readyz")).status == 503


def test_the_binder_is_64_bytes_and_everything_reaches_it() -> None:
    base: dict[str, bytes] = {"spki": b"k", "nonce": bytes(32), "settings_digest": bytes(32)}
    made = {endpoint_bound(**base).binder}
    for change in ({"spki": b"l"}, {"nonce": b"\1" * 32}, {"settings_digest": b"\1" * 32}):
        made.add(endpoint_bound(**(base | change)).binder)
    assert len(made) == 4
    assert {len(binder) for binder in made} == {64}
