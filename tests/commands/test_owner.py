"""What an owner's verbs have in common: options, which server is asked, and what is said when none helps."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from runtime.attestation.findings import EvidenceRefusedError
from runtime.commands import owner
from runtime.documents.fleet import Member
from runtime.errors import DocumentError, PeerError, TunnelError, UnreachableError, UsageError
from tests.channel import parties
from tests.channel.parties import FixedDocument, World
from tests.fakes.amd import FakeAmd
from tests.web.owner import KEY, MALLORY, PUBLIC, signed

WHERE = (("127.0.0.1", 7443), ("127.0.0.2", 7443), ("127.0.0.3", 7443))


@pytest.fixture(scope="module")
def world(amd: FakeAmd) -> World:
    return parties.world(amd)


@pytest.fixture
def folder(tmp_path: Path, world: World) -> Path:
    (tmp_path / "fleet.json").write_bytes(signed(world.payload))
    for name, key in (("owner.key", KEY), ("mallory.key", MALLORY)):
        path = tmp_path / name
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        path.chmod(0o600)
    return tmp_path


def options(folder: Path, *more: str, member: str = "server-1", key: str = "owner.key") -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    owner.add_arguments(parser)
    files = ["--document", str(folder / "fleet.json"), "--owner-key", str(folder / key)]
    return parser.parse_args([member, *files, *more])


async def never(_visit: object) -> None:
    raise AssertionError("nobody was reached")


def test_a_member_that_the_document_does_not_have_is_named_with_those_it_has(folder: Path) -> None:
    with pytest.raises(UsageError, match='no member "server-9"') as caught:
        owner.run(options(folder, member="server-9"), (), never)
    assert caught.value.hint == "it has server-1, client-1"


def test_a_document_that_another_key_signed_wants_that_key(folder: Path) -> None:
    with pytest.raises(DocumentError, match="no signature by the owner keys"):
        owner.run(options(folder, key="mallory.key"), (), never)
    for wrong in ("ab", "zz" * 32):
        with pytest.raises(UsageError, match="want 64 hexadecimal digits"):
            owner.run(options(folder, "--signed-by", wrong, key="mallory.key"), (), never)
    with pytest.raises(UsageError, match="no member"):  # it got past the signature
        owner.run(options(folder, "--signed-by", PUBLIC.hex(), member="x", key="mallory.key"), (), never)


def test_a_key_that_others_may_read_a_document_that_is_not_there_and_a_bad_address_are_said(
    folder: Path,
) -> None:
    (folder / "owner.key").chmod(0o644)
    with pytest.raises(UsageError, match="want 0600"):
        owner.run(options(folder), (), never)
    (folder / "owner.key").chmod(0o600)
    with pytest.raises(UsageError, match="want a port"):
        owner.run(options(folder, "--address", "127.0.0.1:http"), (), never)
    with pytest.raises(UsageError, match="want ADDRESS:PORT"):
        owner.run(options(folder, "--resolver", "127.0.0.1"), (), never)
    (folder / "fleet.json").unlink()
    with pytest.raises(UsageError, match="cannot be read"):
        owner.run(options(folder), (), never)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("127.0.0.1", ("127.0.0.1", 7443)),
        ("127.0.0.1:9", ("127.0.0.1", 9)),
        ("::1", ("::1", 7443)),
        ("[::1]", ("::1", 7443)),
        ("[::1]:9", ("::1", 9)),
    ],
)
def test_addresses(text: str, wanted: tuple[str, int]) -> None:
    assert owner.address(text, 7443, "--address") == wanted


class Servers:
    """Answers for each address what a test says; notes who was asked."""

    def __init__(self, *outcomes: TunnelError | None) -> None:
        self.outcomes, self.asked = list(outcomes), []

    asked: list[str]

    async def visit(self, host: str, port: int) -> None:
        assert port == 7443
        self.asked.append(host)
        outcome = self.outcomes[len(self.asked) - 1]
        if outcome is not None:
            raise outcome


def of(world: World) -> Member:
    return FixedDocument(world.payload).current().document.members[0]


ELSEWHERE = PeerError("other_member", "member server-2 answered, want server-1")
SILENT = UnreachableError("did not answer")


async def test_the_first_server_that_leads_to_the_member_is_enough(world: World) -> None:
    servers = Servers(SILENT, None, None)
    await owner.reach(of(world), WHERE, servers.visit)
    assert servers.asked == ["127.0.0.1", "127.0.0.2"]
    servers = Servers(ELSEWHERE, PeerError("timeout", "slow"), None)
    await owner.reach(of(world), WHERE, servers.visit)
    assert len(servers.asked) == 3


async def test_when_none_does_each_ones_reason_is_told(world: World) -> None:
    with pytest.raises(UnreachableError) as caught:
        await owner.reach(of(world), WHERE, Servers(SILENT, ELSEWHERE, SILENT).visit)
    for words in ("server-1 could not be reached", "127.0.0.2: other_member", "127.0.0.3: did not"):
        assert words in str(caught.value)


async def test_evidence_that_was_refused_is_what_counts_when_nothing_else_helped(world: World) -> None:
    refused = EvidenceRefusedError(())
    with pytest.raises(EvidenceRefusedError):
        await owner.reach(of(world), WHERE, Servers(SILENT, refused, ELSEWHERE).visit)
    servers = Servers(refused, None, None)
    await owner.reach(of(world), WHERE, servers.visit)  # a bad server does not hide a good one


async def test_a_key_that_the_members_do_not_know_is_the_callers_to_change(world: World) -> None:
    servers = Servers(PeerError("owner_refused", "closed the session", remote=True), None)
    with pytest.raises(UsageError, match="does not know this owner's key"):
        await owner.reach(of(world), WHERE, servers.visit)


async def test_at_the_one_address_that_was_named_the_peers_own_code_comes_out(world: World) -> None:
    with pytest.raises(PeerError, match="clock_skew"):
        await owner.reach(of(world), WHERE[:1], Servers(PeerError("clock_skew", "300 s apart")).visit)
    with pytest.raises(UnreachableError, match="server-2 answered"):
        await owner.reach(of(world), WHERE[:1], Servers(ELSEWHERE).visit)


def test_what_is_said_of_another_document_version() -> None:
    class Visit:
        class peer_hello:  # noqa: N801 - stands for an attribute
            document_version = 7

    visit: Any = Visit()
    assert owner.says_version(visit, 7) == ""
    assert "a newer fleet document: version 7, ours is 6" in owner.says_version(visit, 6)
    assert "an older fleet document: version 7, ours is 8" in owner.says_version(visit, 8)
