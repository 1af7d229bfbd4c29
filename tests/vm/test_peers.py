"""What the machines say of each other, on their own sessions, when the owner's document changes.

The documents come one after the other, each with the next version; the machines poll for them, tell each
other, and hold the standing session against the new one. In file order: the last test makes it good again.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any

import pytest

from runtime.documents import times
from tests.vm import fleet as fleets
from tests.vm.conftest import Booted, visit

pytestmark = pytest.mark.timeout(900)


def _ended(document: dict[str, Any]) -> None:
    document["images"][0]["not_after"] = times.show(int(time.time()) - 600)


def _another_image(document: dict[str, Any]) -> None:
    for name, value in document["images"][0]["measurements"].items():
        document["images"][0]["measurements"][name] = "ab" * (len(value) // 2)


def _other_settings(document: dict[str, Any]) -> None:
    (client,) = (member for member in document["members"] if member["name"] == "client-1")
    client["settings_sha256"] = "ab" * 32


DOCUMENTS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "the previous generation after its end": (_ended, r"image\.date"),
    "an image that is not in the document": (_another_image, r"image\.pcr4"),
    "settings with another digest": (_other_settings, r"member\.known"),
}
_version = iter(range(2, 100))


def publish(booted: Booted, change: Callable[[dict[str, Any]], None]) -> int:
    """Put the next version in force; returns how far the server's console was."""
    document = copy.deepcopy(booted.document)
    change(document)
    document["version"] = next(_version)
    mark = booted.server.mark()
    fleets.publish(booted.publisher, booted.fleet, document)
    return mark


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_peer_refuses(booted: Booted, name: str) -> None:
    change, said = DOCUMENTS[name]
    mark = publish(booted, change)
    booted.server.wait_for(said, after=mark)


def test_the_good_document_lets_it_in_again(booted: Booted) -> None:
    mark = publish(booted, lambda _: None)
    booted.server.wait_for("session established", after=mark)
    page, _ = visit(booted.fleet.ports[0], booted.client)
    assert page == fleets.PAGE
