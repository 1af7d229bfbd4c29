"""The metrics of real members: documented names, parsable, and no more labels than said."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from runtime.channel.appraiser import ProcessAppraiser
from runtime.commands import metrics
from runtime.limits import Limits
from runtime.tunnel import client as following
from runtime.tunnel.client import TunnelClient
from runtime.tunnel.data import Origin
from runtime.tunnel.loop_lag import LoopLag
from runtime.tunnel.server import TunnelServer
from tests.fakes.amd import FakeAmd
from tests.localfleet.dns import NameServer
from tests.tunnel.rig import echo, listening, until
from tests.tunnel.small_fleet import NAME, SmallFleet, is_served

SERVER = {
    "tunnel_sessions": {"member", "grade"},
    "tunnel_session_age_seconds": {"member"},
    "tunnel_data_connections": {"member"},
    "tunnel_sessions_refused": {"code"},
    "tunnel_visitors": {"worker"},
    "tunnel_streams": {"worker"},
    "tunnel_streams_opened": {"worker", "member"},
    "tunnel_data_bytes": {"worker", "member", "direction"},
    "tunnel_relay_refused": {"worker", "reason"},
    "tunnel_session_handshake_seconds": set[str](),
    "tunnel_workers_replaced": set[str](),
    "tunnel_worker_loop_lag_seconds": {"worker"},
}
CLIENT = {
    "tunnel_session_up": {"address", "grade"},
    "tunnel_data_connections": {"address"},
    "tunnel_sessions_established": {"address"},
    "tunnel_session_failures": {"address", "code"},
    "tunnel_session_handshake_seconds": {"address"},
    "tunnel_streams": {"address"},
    "tunnel_streams_opened": {"address"},
    "tunnel_data_bytes": {"address", "direction"},
}
OWN = {
    "tunnel_appraisals": {"reason"},
    "tunnel_appraisal_seconds": set[str](),
    "tunnel_loop_lag_seconds": set[str](),
}
OPERATIONS = Path(__file__).resolve().parents[2] / "docs" / "operations.md"


def scrape(of: TunnelServer | TunnelClient) -> dict[str, dict[tuple[str, ...], float]]:
    wanted = (SERVER if isinstance(of, TunnelServer) else CLIENT) | OWN
    appraiser = ProcessAppraiser(Limits())
    appraiser.outcomes.update(accepted=2, measurement=1)
    own = metrics.OwnMetrics(appraiser, LoopLag(asyncio.get_running_loop()))
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(generate_latest(metrics.registry(of, own)).decode()):
        found[family.name] = {}
        for sample in family.samples:
            assert set(sample.labels) == wanted[family.name]
            found[family.name][tuple(sample.labels[name] for name in sorted(sample.labels))] = sample.value
    appraiser.close()
    assert found["tunnel_appraisals"] == {("accepted",): 2.0, ("measurement",): 1.0}
    assert set(found) == set(wanted)
    return found


async def test_what_a_server_and_a_client_count(amd: FakeAmd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "RETRY_DNS_S", 0.1)
    fleet = SmallFleet(amd)
    records = [{"name": f"{NAME}.", "type": "A", "ttl": 1, "values": ["127.0.0.1"]}]
    async with listening(echo) as port, NameServer(records) as dns, fleet.server() as server:
        assert scrape(server)["tunnel_sessions"] == {}
        routes = {"app.test": Origin(kind="tls", host="127.0.0.1", port=port, ssl_context=None)}
        async with fleet.client(dns.address, routes) as client:
            await until(lambda: client.is_ready() and server.is_ready())
            assert not await is_served(server, "app.test")  # the echo is no TLS: a stream all the same
            await until(lambda: scrape(server)["tunnel_streams_opened"] == {("client-1", "0"): 1.0})
            found = scrape(server)
            assert found["tunnel_sessions"] == {("T", "client-1"): 1.0}
            assert found["tunnel_data_connections"] == {("client-1",): 1.0}
            assert 0 <= found["tunnel_session_age_seconds"]["client-1",] < 30
            assert found["tunnel_data_bytes"]["sent", "client-1", "0"] > 100
            assert server.handshakes == 1
            assert 0 < server.handshakes_s < 60
            server.refused["busy"] = 3
            assert scrape(server)["tunnel_sessions_refused"] == {("busy",): 3.0}
            seen = scrape(client)
            assert seen["tunnel_session_up"] == {("127.0.0.1", "T"): 1.0}
            assert seen["tunnel_data_connections"] == {("127.0.0.1",): 1.0}
            assert seen["tunnel_sessions_established"] == {("127.0.0.1",): 1.0}
            assert seen["tunnel_session_failures"] == {}
            assert seen["tunnel_streams_opened"] == {("127.0.0.1",): 1.0}
            assert seen["tunnel_streams"]["127.0.0.1",] <= 1
            assert client.status()[0].handshakes == 1
            assert 0 < client.status()[0].handshakes_s < 60
            # What one end sent the other has received: both count frame bytes.
            await until(
                lambda: (
                    scrape(client)["tunnel_data_bytes"]["127.0.0.1", "received"]
                    == scrape(server)["tunnel_data_bytes"]["sent", "client-1", "0"]
                )
            )
            before = scrape(client)["tunnel_data_bytes"]["127.0.0.1", "received"]
            server.sessions()[0].session.transport.abort()
            ended = (
                "127.0.0.1",
                "closed",
            )  # it dials again at once, and may be told that it is there already
            await until(lambda: scrape(client)["tunnel_session_failures"].get(ended) == 1.0)
            # Counters outlive the connections that made them.
            after = scrape(client)
            assert after["tunnel_streams_opened"] == {("127.0.0.1",): 1.0}
            assert after["tunnel_data_bytes"]["127.0.0.1", "received"] >= before > 100


def test_the_documented_names_are_these() -> None:
    if not OPERATIONS.exists():
        pytest.skip("docs/operations.md is not written yet")
    documented = set(re.findall(r"^\| `(tunnel_[a-z_]+)`", OPERATIONS.read_text(), re.MULTILINE))
    known = {*SERVER, *CLIENT, *OWN}
    assert {name for name in known if not {name, f"{name}_total"} & documented} == set()
    assert {name for name in documented if name.removesuffix("_total") not in known} == set()
