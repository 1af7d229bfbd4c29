"""What a member says of itself: present, and nothing that is nobody's business."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace
from typing import Any, cast

from runtime.commands import member_status
from runtime.errors import UnreachableError
from runtime.tunnel.control import Counters
from runtime.tunnel.status import Status
from tests.web.owner import settings


class Documents:
    """In force, or not."""

    def __init__(self, missing: str = "") -> None:
        self.missing = missing

    def current(self) -> Any:
        if self.missing:
            raise UnreachableError(self.missing)
        document = SimpleNamespace(version=4, digest=b"\xab" * 32, purpose="test", expires_at=9)
        return SimpleNamespace(document=document)


def counters(streams: int, **opened: int) -> Counters:
    return Counters(visitors=1, streams=streams, opened=opened, received={}, sent={}, refused={}, lag_s=0.0)


def session(member: str) -> Any:
    peer = SimpleNamespace(member=member, grade="T")
    hello = SimpleNamespace(document_version=4)
    made = SimpleNamespace(
        id=b"i", peer=peer, peer_address="10.0.0.1", peer_hello=hello, join_secret=b"secret"
    )
    return SimpleNamespace(
        session=made, granted=("app.test",), routed=("app.test",), since=time.monotonic() - 5
    )


def test_a_server_tells_its_sessions_streams_document_and_age() -> None:
    server = cast(
        "Any",
        SimpleNamespace(
            workers=SimpleNamespace(
                counters=lambda: [(0, counters(3, a=1)), (1, counters(4, a=2, b=5))], connections=lambda _: 2
            ),
            sessions=lambda: [session("client-1")],
            owners=SimpleNamespace(visits=1),
        ),
    )
    told = member_status.of_server(
        settings(), cast("Any", Documents()), server, started=time.monotonic() - 60, listening=True
    )
    assert (told["streams"], told["streams_opened"], told["owners"]) == (7, {"a": 3, "b": 5}, 1)
    assert told["fleet_document"] == {
        "version": 4,
        "sha256": "ab" * 32,
        "purpose": "test",
        "expires_at": 9,
    }
    assert told["uptime_s"] >= 60
    assert set(told["versions"]) == {"tunnel", "python", "openssl"}
    [one] = told["sessions"]
    assert (one["member"], one["grade"], one["granted"], one["data_connections"]) == (
        "client-1",
        "T",
        ("app.test",),
        2,
    )
    assert one["age_s"] >= 5
    assert "secret" not in json.dumps(told)


def test_a_client_tells_each_address() -> None:
    client = cast("Any", SimpleNamespace(status=lambda: [Status(address="10.0.0.1")], streams=6))
    told = member_status.of_client(
        settings(), cast("Any", Documents("no fleet document yet")), client, started=time.monotonic()
    )
    assert told["fleet_document"] == {"missing": "no fleet document yet"}
    assert told["streams"] == 6
    [one] = told["sessions"]
    assert (one["address"], one["state"], one["member"], one["grade"]) == (
        "10.0.0.1",
        "connecting",
        None,
        None,
    )
