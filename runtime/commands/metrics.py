"""Prometheus metrics, read from the live objects at each scrape. Pure but for what it is handed.

Names and labels are documented in docs/operations.md and do not change within a major version.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from runtime.channel.appraiser import ProcessAppraiser
from runtime.tunnel.client import TunnelClient
from runtime.tunnel.loop_lag import LoopLag
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
        handshakes = SummaryMetricFamily(
            "tunnel_session_handshake_seconds",
            "First attestations of sessions, and the time they took",
            count_value=self._server.handshakes,
            sum_value=self._server.handshakes_s,
        )
        replaced = CounterMetricFamily(
            "tunnel_workers_replaced",
            "Workers that died and were replaced",
            value=self._server.workers.replaced,
        )
        yield from (sessions, age, joined, refused, handshakes, replaced)
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
        lag = GaugeMetricFamily(
            "tunnel_worker_loop_lag_seconds",
            "Longest delay of a worker's loop in its last report",
            labels=["worker"],
        )
        for index, counters in self._server.workers.counters():
            worker = str(index)
            lag.add_metric([worker], counters.lag_s)
            visitors.add_metric([worker], counters.visitors)
            streams.add_metric([worker], counters.streams)
            for member, count in counters.opened.items():
                opened.add_metric([worker, member], count)
            for direction, totals in (("received", counters.received), ("sent", counters.sent)):
                for member, count in totals.items():
                    carried.add_metric([worker, member, direction], count)
            for reason, count in counters.refused.items():
                refused.add_metric([worker, reason], count)
        yield from (visitors, streams, opened, carried, refused, lag)


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
        handshakes = SummaryMetricFamily(
            "tunnel_session_handshake_seconds",
            "First attestations of sessions, and the time they took",
            labels=["address"],
        )
        for status in self._client.status():
            grade = status.peer.grade if status.peer else ""
            up.add_metric([status.address, grade], 1 if status.state == "established" else 0)
            joined.add_metric([status.address], status.connections)
            sessions.add_metric([status.address], status.sessions)
            for code, count in status.failures.items():
                failures.add_metric([status.address, code], count)
            handshakes.add_metric([status.address], status.handshakes, status.handshakes_s)
        yield from (up, joined, sessions, failures, handshakes)
        yield from self._carried()

    def _carried(self) -> Iterator[Metric]:
        streams = GaugeMetricFamily("tunnel_streams", "Streams open now", labels=["address"])
        opened = CounterMetricFamily("tunnel_streams_opened", "Streams opened", labels=["address"])
        moved = CounterMetricFamily(
            "tunnel_data_bytes", "Frame bytes on data connections", labels=["address", "direction"]
        )
        for address, now, carried in self._client.carried():
            streams.add_metric([address], now)
            opened.add_metric([address], carried.opened)
            moved.add_metric([address, "received"], carried.received)
            moved.add_metric([address, "sent"], carried.sent)
        yield from (streams, opened, moved)


class OwnMetrics(Collector):
    """What servers and clients have alike: appraisals of their peers, and the lag of their own loop."""

    def __init__(self, appraiser: ProcessAppraiser, lag: LoopLag) -> None:
        self._appraiser, self._lag = appraiser, lag

    def collect(self) -> Iterable[Metric]:
        """Yield every family with its present values."""
        appraisals = CounterMetricFamily(
            "tunnel_appraisals", "Appraisals of peers' evidence, by what they came to", labels=["reason"]
        )
        for reason, count in self._appraiser.outcomes.items():
            appraisals.add_metric([reason], count)
        yield appraisals
        yield CounterMetricFamily(
            "tunnel_appraisal_seconds",
            "Time that appraisals took, waiting included",
            value=self._appraiser.seconds,
        )
        yield GaugeMetricFamily(
            "tunnel_loop_lag_seconds",
            "Longest delay of the control process's loop since the last scrape",
            value=self._lag.take(),
        )


def registry(of: TunnelServer | TunnelClient, own: OwnMetrics) -> CollectorRegistry:
    """Return a registry that reads from `of` and `own`."""
    made = CollectorRegistry(auto_describe=False)
    made.register(ServerMetrics(of) if isinstance(of, TunnelServer) else ClientMetrics(of))
    made.register(own)
    return made
