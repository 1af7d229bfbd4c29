"""Parts that are each well-formed may still contradict each other; most are in test_config.py's table."""

from __future__ import annotations

from typing import Any

import pytest

from infra import config
from infra.contradictions import zone_of
from runtime.errors import DocumentError
from tests.infra.test_config import MISTAKES, Edit


def test_the_longest_zone_holds_a_name(raw: dict[str, Any]) -> None:
    raw["dns"]["zones"].append({"name": "t.demo.test", "providers": ["cloud_dns"]})
    fleet = config.parse(raw)
    assert [
        getattr(zone_of(fleet, name), "name", None) for name in ("a.t.demo.test", "demo.test", "x.test")
    ] == [
        "t.demo.test",
        "demo.test",
        None,
    ]


def test_a_fleet_of_hardware_contradicts_nothing(release: dict[str, Any]) -> None:
    fleet = config.parse(release)
    assert fleet.purpose == "production"
    assert "T" not in fleet.least_grade.values()


def test_a_fleet_without_a_chip_of_the_product_has_nothing_to_accept(raw: dict[str, Any]) -> None:
    del raw["opt_in"], raw["servers"][0]
    for member in (raw["servers"][0], raw["clients"][1]):
        member["type"] = "Standard_DC2as_v6"
    fleet = config.parse(raw)
    machines = [server.machine for server in fleet.servers] + [client.machine for client in fleet.clients]
    assert {machine.product for machine in machines} == {"Genoa", None}
    assert fleet.opt_in == {}


def test_several_contradictions_come_together(raw: dict[str, Any]) -> None:
    raw["visitor_name"] = raw["tunnel_name"]
    raw["sites"] = ["app.demo.test", "ap.demo.test"]
    with pytest.raises(DocumentError) as caught:
        config.parse(raw)
    assert [problem.path for problem in caught.value.problems] == ["$.visitor_name", "$.sites[1]"]
    assert "'app.demo.test'" in caught.value.problems[1].message


@pytest.mark.parametrize(("edit", "expected"), MISTAKES)
def test_a_contradiction_is_told_where_it_is(raw: dict[str, Any], edit: Edit, expected: str) -> None:
    edit(raw)
    with pytest.raises(DocumentError) as caught:
        config.parse(raw)
    assert any(expected in str(problem) for problem in caught.value.problems)
