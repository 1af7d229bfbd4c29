"""What a member says of itself, on its admin listener and to its owner. Pure but for the monotonic clock.

Never a key, a secret, a visitor's address or byte.
"""

from __future__ import annotations

import platform
import ssl
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from runtime import config
from runtime.documents.settings import Settings
from runtime.errors import UnreachableError
from runtime.tunnel.client import TunnelClient
from runtime.tunnel.server import TunnelServer
from runtime.tunnel.status import Status
from runtime.web.documents import PublishedDocuments


def of_server(
    settings: Settings,
    documents: PublishedDocuments,
    server: TunnelServer,
    *,
    started: float,
    listening: bool,
) -> Mapping[str, Any]:
    """Tell about a server; `started` is monotonic seconds."""
    workers = [counters for _, counters in server.workers.counters()]
    return {
        **_of_member(settings, documents, started),
        "listening": listening,
        "sessions": [
            {
                "member": live.session.peer.member,
                "grade": live.session.peer.grade,
                "address": live.session.peer_address,
                "granted": live.granted,
                "routed": live.routed,  # of it, what the client has said that it serves
                "data_connections": server.workers.connections(live.session.id),
                "age_s": round(time.monotonic() - live.since, 3),
                "document_version": live.session.peer_hello.document_version,
            }
            for live in server.sessions()
        ],
        "owners": server.owners.visits,
        "streams": sum(counters.streams for counters in workers),
        "streams_opened": _opened(server),
    }


def of_client(
    settings: Settings, documents: PublishedDocuments, client: TunnelClient, *, started: float
) -> Mapping[str, Any]:
    """Tell about a client; `started` is monotonic seconds."""
    return {
        **_of_member(settings, documents, started),
        "sessions": [_session(status) for status in client.status()],
        "streams": client.streams,
    }


def _session(status: Status) -> dict[str, Any]:
    plain = asdict(status)
    peer = plain.pop("peer")
    age = round(time.monotonic() - plain.pop("since"), 3)
    return {
        **plain,
        "member": peer["member"] if peer else None,
        "grade": peer["grade"] if peer else None,
        "age_s": age,
    }


def _opened(server: TunnelServer) -> dict[str, int]:
    total: dict[str, int] = {}
    for _, counters in server.workers.counters():
        for member, count in counters.opened.items():
            total[member] = total.get(member, 0) + count
    return total


def _of_member(settings: Settings, documents: PublishedDocuments, started: float) -> dict[str, Any]:
    try:
        document = documents.current().document
        fleet = {
            "version": document.version,
            "sha256": document.digest.hex(),
            "purpose": document.purpose,
            "expires_at": document.expires_at,
        }
    except UnreachableError as error:
        fleet = {"missing": str(error)}
    return {
        "member": settings.member,
        "role": settings.role_name,
        "settings_sha256": settings.digest.hex(),
        "fleet_document": fleet,
        "uptime_s": round(time.monotonic() - started, 3),
        "versions": {
            "tunnel": config.VERSION,
            "python": platform.python_version(),
            "openssl": ssl.OPENSSL_VERSION,
        },
    }
