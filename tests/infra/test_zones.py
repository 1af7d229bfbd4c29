"""A zone's records point at addresses that `up` will tell, and live a minute at most."""

from __future__ import annotations

import pytest

from infra.zones import ZONES
from tests.infra.conftest import Runs

pytestmark = pytest.mark.timeout(150)


def test_route53_holds_one_record_set_per_name(runs: Runs) -> None:
    records = {
        entry["name"]: entry["inputs"]
        for entry in runs.previewed.answer["resources"]
        if entry["type"] == "aws:route53/record:Record"
    }
    assert {(record["name"], record["type"]) for record in records.values()} == {
        ("tunnel.demo.test", "A"),
        ("app.demo.test", "A"),
    }
    assert all(record["ttl"] <= 60 for record in records.values())


def test_every_configured_provider_has_its_file() -> None:
    assert set(ZONES) == {"route53", "azure_dns", "cloud_dns"}


@pytest.mark.parametrize(
    ("name", "expected"), [("x.test", "@"), ("a.x.test", "a"), ("a.b.x.test", "a.b"), ("*.x.test", "*")]
)
def test_azure_names_are_relative(name: str, expected: str) -> None:
    from infra.zones.azure_dns import relative_name

    assert relative_name(name, "x.test") == expected
