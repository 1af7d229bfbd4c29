"""The answer of `tunnel evidence read`; the way to it is tests/localfleet_tests/test_owner_commands.py."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from runtime.commands.evidence import read
from tests.channel import owners, parties
from tests.channel.owners import member, owner
from tests.fakes.amd import FakeAmd


async def test_the_answer_says_who_through_whom_and_what_was_measured(amd: FakeAmd) -> None:
    world = parties.world(amd)
    met, _ = await owners.meet(owner(world), member(world, "server-1"), world.server)
    reached = cast("Any", met)
    visit = cast(
        "Any",
        SimpleNamespace(
            address="127.0.0.1", through=reached.peer, peer=reached.peer, peer_hello=reached.peer_hello
        ),
    )
    answer = read._answer(visit, "")
    assert answer["through"] == {"member": "server-1", "grade": "T"}
    assert answer["member_document"] == {
        "version": 1,
        "sha256": reached.peer_hello.document_digest.hex(),
    }
    assert (answer["member"], answer["grade"], answer["ok"]) == ("server-1", "T", True)
    assert answer["statements"]
    assert "warning" not in answer
    assert read._answer(visit, "older")["warning"] == "older"
