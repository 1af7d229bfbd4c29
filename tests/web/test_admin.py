"""The private listener answers its four questions, from live objects, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from runtime.web import admin
from tests.localfleet.listener import Listener
from tests.web.asking import ask


class Counting(Collector):
    def __init__(self) -> None:
        self.asked = 0

    def collect(self) -> Iterator[Metric]:
        self.asked += 1
        family = GaugeMetricFamily("tunnel_sessions", "Sessions", labels=["member"])
        family.add_metric(['odd "name"\n'], self.asked)
        yield family


class Member:
    def __init__(self) -> None:
        self.ready = False
        self.status: dict[str, Any] = {"member": "gcp-1"}
        self.collector = Counting()
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self.collector)
        self.application = admin.application(
            is_ready=lambda: self.ready, status=lambda: self.status, registry=registry
        )


async def test_health_is_the_event_loop_and_readiness_is_asked_each_time() -> None:
    member = Member()
    async with Listener(member.application) as listener:
        assert (await ask(listener, "/healthz")).status == 200
        assert (await ask(listener, "/readyz")).status == 503
        member.ready = True
        assert (await ask(listener, "/readyz")).status == 200
        member.ready = False
        assert (await ask(listener, "/readyz")).status == 503
        assert (await ask(listener, "/healthz")).status == 200


async def test_metrics_are_read_at_each_scrape_and_parse() -> None:
    member = Member()
    async with Listener(member.application) as listener:
        for n in (1, 2):
            answer = await ask(listener, "/metrics")
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            [family] = text_string_to_metric_families(answer.text)
            assert [(s.name, s.labels, s.value) for s in family.samples] == [
                ("tunnel_sessions", {"member": 'odd "name"\n'}, n)
            ]


async def test_status_is_json_of_the_moment() -> None:
    member = Member()
    async with Listener(member.application) as listener:
        assert (await ask(listener, "/status")).json() == {"member": "gcp-1"}
        member.status = {"member": "gcp-1", "sessions": []}
        assert (await ask(listener, "/status")).json() == {"member": "gcp-1", "sessions": []}


@pytest.mark.parametrize(
    "path", ["/", "/status/", "/../etc/passwd", "/debug", "/.well-known/tunnel-evidence"]
)
async def test_there_is_nothing_else(path: str) -> None:
    async with Listener(Member().application) as listener:
        assert (await ask(listener, path)).status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_nothing_can_be_changed(method: str) -> None:
    async with Listener(Member().application) as listener:
        for path in ("/healthz", "/readyz", "/metrics", "/status"):
            assert (await ask(listener, path, method=method)).status == 405
