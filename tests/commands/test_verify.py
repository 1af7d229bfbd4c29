"""`tunnel verify`: accepts a member under its root, and answers everything else with our error."""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from runtime.attestation import explanation
from runtime.attestation.findings import EvidenceRefusedError, Reason
from runtime.attestation.roots import HARDWARE_ROOTS
from runtime.commands import verify
from runtime.errors import DocumentError, MalformedError, PeerError, UnreachableError, UsageError
from runtime.tunnel.data_tls import server_context
from runtime.web import tunnel_name
from tests.channel import parties
from tests.channel.parties import World
from tests.fakes.amd import FakeAmd
from tests.fakes.fleets import fleet_payload
from tests.localfleet.listener import Listener
from tests.web.owner import MALLORY, PUBLIC, signed


@pytest.fixture(scope="module")
def world(amd: FakeAmd) -> World:
    return parties.world(amd)


@pytest.fixture(scope="module")
def envelope(amd: FakeAmd) -> bytes:
    """This command reads the real clock."""
    return signed(fleet_payload(parties.members(amd), now=int(time.time())))


def endpoint(world: World, name: str = "server") -> Listener:
    party = world.server if name == "server" else world.client
    app = tunnel_name.application(
        attester=party.attester,
        spki=party.key.spki,
        settings_digest=party.settings_digest,
        is_ready=lambda: True,
        most_askers=8,
    )
    return Listener(app, tls=tunnel_name.tls_context(party.key))


async def test_a_member_is_attested_under_its_root(world: World, envelope: bytes) -> None:
    async with endpoint(world) as listener:
        result = await verify.attest(*listener.address, envelope, (PUBLIC,), world.amd.roots())
    assert (result.member, result.role, result.grade, result.purpose) == ("server-1", "server", "T", "test")
    described = json.loads(json.dumps(explanation.accepted(result)))
    assert described["member"] == "server-1"
    assert len(described["evidence_sha256"]) == 64
    assert "member server-1 (server), sev-snp, grade T" in explanation.sentences(result)[0]


async def test_the_hardware_roots_refuse_the_very_same(world: World, envelope: bytes) -> None:
    async with endpoint(world) as listener:
        with pytest.raises(EvidenceRefusedError) as caught:
            await verify.attest(*listener.address, envelope, (PUBLIC,), HARDWARE_ROOTS)
    assert caught.value.reasons == {Reason.CHAIN}


async def test_a_client_is_no_server(world: World, envelope: bytes) -> None:
    async with endpoint(world, "client") as listener:
        with pytest.raises(EvidenceRefusedError) as caught:
            await verify.attest(*listener.address, envelope, (PUBLIC,), world.amd.roots())
    assert caught.value.reasons == {Reason.ROLE}


async def test_evidence_of_a_server_behind_another_key_is_refused(world: World, envelope: bytes) -> None:
    """A man in the middle passes the request on and ends TLS himself."""
    app = tunnel_name.application(
        attester=world.server.attester,
        spki=world.server.key.spki,
        settings_digest=world.server.settings_digest,
        is_ready=lambda: True,
        most_askers=8,
    )
    async with Listener(app, tls=tunnel_name.tls_context(world.client.key)) as mallory:
        with pytest.raises(EvidenceRefusedError) as caught:
            await verify.attest(*mallory.address, envelope, (PUBLIC,), world.amd.roots())
    assert caught.value.reasons == {Reason.BINDING}


async def test_a_document_that_is_not_the_owners_is_refused_before_anybody_is_asked(
    world: World, amd: FakeAmd
) -> None:
    forged = signed(fleet_payload(parties.members(amd)), key=MALLORY)
    with pytest.raises(DocumentError, match="no signature by the owner keys"):
        await verify.attest("127.0.0.1", 1, forged, (PUBLIC,), world.amd.roots())


def good_answer(**changes: Any) -> bytes:
    value = {"evidence": base64.b64encode(b"CTE1").decode(), "settings_sha256": "00" * 32, "nonce": "00" * 32}
    return b"HTTP/1.0 200 OK\r\n\r\n" + json.dumps(value | changes).encode()


GARBAGE = [
    b"",
    b"\x00\xff" * 100,
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n[]",
    b'HTTP/1.1 200 OK\r\n\r\n"x"',
    b"HTTP/1.1 200 OK\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 50_000,
    b"HTTP/1.1 503 Busy\r\n\r\n{}",
    b"HTTP/1.1",
    good_answer(evidence=1),
    good_answer(evidence=["x"]),
    good_answer(evidence="\u00e9"),
    good_answer(evidence="!!!!"),
    good_answer(settings_sha256=None),
    good_answer(settings_sha256="00"),
    good_answer(settings_sha256="zz" * 32),
    good_answer(),
    b"x" * (verify.MAX_ANSWER + 10),
]


@pytest.mark.parametrize("answer", GARBAGE, ids=lambda answer: repr(answer[:40]))
async def test_whatever_a_server_answers_is_our_error(world: World, envelope: bytes, answer: bytes) -> None:
    async with raw_server(world, answer) as port:
        with pytest.raises((PeerError, MalformedError, EvidenceRefusedError)):
            await verify.attest("127.0.0.1", port, envelope, (PUBLIC,), world.amd.roots())


async def test_a_server_that_gives_no_evidence_is_quoted(world: World, envelope: bytes) -> None:
    async with raw_server(world, b"HTTP/1.1 503 Busy\r\n\r\n{}") as port:
        with pytest.raises(PeerError, match=r"^evidence_unavailable: the server answered 503 Busy$"):
            await verify.attest("127.0.0.1", port, envelope, (PUBLIC,), world.amd.roots())


class raw_server:  # noqa: N801 - reads as what it is where it is entered
    """A TLS server that answers any request with these bytes."""

    def __init__(self, world: World, answer: bytes) -> None:
        key = world.server.key
        self._tls, self._answer = server_context(key.certificate_pem, key.key_pem), answer
        self._tls.set_alpn_protocols(["http/1.1"])

    async def __aenter__(self) -> int:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(self._answer)
            writer.close()

        self._server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=self._tls)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await asyncio.sleep(0)


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(1000):
        pass
    writer.close()


async def no_tls(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    writer.close()


@pytest.mark.parametrize("serve", [silent, no_tls])
async def test_no_answer_is_unreachable(
    serve: Callable[..., Awaitable[None]], envelope: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "DEADLINE_S", 0.3)
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(UnreachableError, match=f"127.0.0.1 port {port} did not answer under tunnel.test"):
            await verify.attest("127.0.0.1", port, envelope, (PUBLIC,), HARDWARE_ROOTS)
        await asyncio.sleep(0.02)
    with pytest.raises(UnreachableError):
        await verify.attest("127.0.0.1", port, envelope, (PUBLIC,), HARDWARE_ROOTS)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", ("192.0.2.1", 443)),
        ("192.0.2.1:8443", ("192.0.2.1", 8443)),
        ("2001:db8::1", ("2001:db8::1", 443)),
        ("[2001:db8::1]", ("2001:db8::1", 443)),
        ("[2001:db8::1]:8443", ("2001:db8::1", 8443)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert verify.address(text) == address


@pytest.mark.parametrize("text", ["192.0.2.1:0", "192.0.2.1:65536", "192.0.2.1:x", "192.0.2.1:²"])
def test_bad_addresses(text: str) -> None:
    with pytest.raises(UsageError):
        verify.address(text)


def options(tmp_path: Path, **changes: Any) -> argparse.Namespace:
    values = {
        "address": "127.0.0.1:1",
        "document": str(tmp_path / "d"),
        "owner_key": [PUBLIC.hex()],
        "json": True,
    }
    return argparse.Namespace(**(values | changes))


def test_the_verb_refuses_bad_files_and_keys(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        verify.verb(options(tmp_path), HARDWARE_ROOTS)
    for key in ("", "zz" * 32, "ab" * 31):
        with pytest.raises(UsageError, match="64 hexadecimal digits"):
            verify.verb(options(tmp_path, owner_key=[key]), HARDWARE_ROOTS)
