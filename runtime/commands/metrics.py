"""Prometheus metrics, read from the live objects at each scrape. Pure but for what it is handed.

Names and labels are documented in docs/operations.md and do not change within a major version.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from runtime.tunnel.client import TunnelClient
from runtime.tunnel.server import TunnelServer


class ServerMetrics(Collector):
    """A tunnel server's."""

    def __init__(self, server: TunnelServer) -> None:
        self._server = server

    def collect(self) -> Iterable[Metric]:
        """Yield every family with its present values."""
        sessions = GaugeMetricFamily("tunnel_sessions", "Attested sessions now", labels=["member", "grade"])
        age = GaugeMetricFamily("tunnel_session_age_seconds", "Age of each session", labels=["member"])
        joined = GaugeMetricFamily(
            "tunnel_data_connections", "Joined data connections now", labels=["member"]
        )
        for live in self._server.sessions():
            member = live.session.peer.member
            sessions.add_metric([member, live.session.peer.grade], 1)
            age.add_metric([member], time.monotonic() - live.since)
            joined.add_metric([member], self._server.workers.connections(live.session.id))
        refused = CounterMetricFamily(
            "tunnel_sessions_refused", "Sessions turned away, by code", labels=["code"]
        )
        for code, count in self._server.refused.items():
            refused.add_metric([code], count)
        yield from (sessions, age, joined, refused)
        yield from self._relay()

    def _relay(self) -> Iterator[Metric]:
        visitors = GaugeMetricFamily("tunnel_visitors", "Visitor connections now", labels=["worker"])
        streams = GaugeMetricFamily("tunnel_streams", "Streams open now", labels=["worker"])
        opened = CounterMetricFamily("tunnel_streams_opened", "Streams opened", labels=["worker", "member"])
        carried = CounterMetricFamily(
            "tunnel_data_bytes", "Frame bytes on data connections", labels=["worker", "member", "direction"]
        )
        refused = CounterMetricFamily(
            "tunnel_relay_refused",
            "Visitors and data connections turned away, by reason",
            labels=["worker", "reason"],
        )
        for index, counters in self._server.workers.counters():
            worker = str(index)
            visitors.add_metric([worker], counters.visitors)
            streams.add_metric([worker], counters.streams)
            for member, count in counters.opened.items():
                opened.add_metric([worker, member], count)
            for direction, totals in (("received", counters.received), ("sent", counters.sent)):
                for member, count in totals.items():
                    carried.add_metric([worker, member, direction], count)
            for reason, count in counters.refused.items():
                refused.add_metric([worker, reason], count)
        yield from (visitors, streams, opened, carried, refused)


class ClientMetrics(Collector):
    """A tunnel client's."""

    def __init__(self, client: TunnelClient) -> None:
        self._client = client

    def collect(self) -> Iterable[Metric]:
        """Yield every family with its present values."""
        up = GaugeMetricFamily(
            "tunnel_session_up", "1 where a session is established", labels=["address", "grade"]
        )
        joined = GaugeMetricFamily(
            "tunnel_data_connections", "Joined data connections now", labels=["address"]
        )
        sessions = CounterMetricFamily(
            "tunnel_sessions_established", "Sessions established", labels=["address"]
        )
        failures = CounterMetricFamily(
            "tunnel_session_failures", "Sessions that ended or failed, by code", labels=["address", "code"]
        )
        for status in self._client.status():
            grade = status.peer.grade if status.peer else ""
            up.add_metric([status.address, grade], 1 if status.state == "established" else 0)
            joined.add_metric([status.address], status.connections)
            sessions.add_metric([status.address], status.sessions)
            for code, count in status.failures.items():
                failures.add_metric([status.address, code], count)
        yield from (up, joined, sessions, failures)


def registry(of: TunnelServer | TunnelClient) -> CollectorRegistry:
    """Return a registry that reads from `of`."""
    made = CollectorRegistry(auto_describe=False)
    made.register(ServerMetrics(of) if isinstance(of, TunnelServer) else ClientMetrics(of))
    return made
