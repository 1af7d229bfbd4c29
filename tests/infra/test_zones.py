"""A zone's records point at addresses that `up` will tell, and live a minute at most."""

from __future__ import annotations

import pytest

from infra.zones import ZONES
from tests.infra.conftest import Runs

pytestmark = pytest.mark.timeout(300)


def test_visitors_names_have_one_health_checked_answer_per_server(runs: Runs) -> None:
    entries = runs.previewed.answer["resources"]
    records = {e["name"]: e["inputs"] for e in entries if e["type"] == "aws:route53/record:Record"}
    checks = {e["name"]: e["inputs"] for e in entries if e["type"] == "aws:route53/healthCheck:HealthCheck"}
    assert {(record["name"], record["type"]) for record in records.values()} == {
        ("tunnel.demo.test", "A"),
        ("visitors.demo.test", "A"),
        ("app.demo.test", "CNAME"),
    }
    assert all(record["ttl"] <= 60 for record in records.values())
    balanced = [record for record in records.values() if record.get("multivalueAnswerRoutingPolicy")]
    assert {record["setIdentifier"] for record in balanced} == {"aws-1", "azure-1", "gcp-1"}
    assert all(record["healthCheckId"] for record in balanced)
    assert len(checks) == 3
    for check in checks.values():
        assert (check["type"], check["enableSni"], check["fqdn"]) == ("HTTPS", True, "tunnel.demo.test")
        assert (check["port"], check["resourcePath"]) == (8443, "/readyz")


def test_every_configured_provider_has_its_file() -> None:
    assert set(ZONES) == {"route53", "azure_dns", "cloud_dns"}


@pytest.mark.parametrize(
    ("name", "expected"), [("x.test", "@"), ("a.x.test", "a"), ("a.b.x.test", "a.b"), ("*.x.test", "*")]
)
def test_azure_names_are_relative(name: str, expected: str) -> None:
    from infra.zones.azure_dns import relative_name

    assert relative_name(name, "x.test") == expected


def test_a_caa_record_is_taken_apart_for_azure() -> None:
    from infra.zones.azure_dns import caa_record

    assert caa_record('0 issue "letsencrypt.org"') == (0, "issue", "letsencrypt.org")
    assert caa_record('0 issue ";"') == (0, "issue", ";")
