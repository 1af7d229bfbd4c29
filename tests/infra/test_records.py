"""Records are planned per name and type, and filled with sorted values."""

from __future__ import annotations

from typing import Any

import pytest

from infra.records import NamedServers, RecordSpec, fill, plan_records, zone_of


def planned(**changes: Any) -> dict[str, RecordSpec]:
    arguments: dict[str, Any] = {
        "tunnel_name": "t.x",
        "visitor_name": "v.x",
        "sites": ["a.x", "x"],
        "zones": ["x"],
        "ttl": 5,
        "everyone": NamedServers(ipv4=("one", "two"), ipv6=("two",)),
        "serving": NamedServers(ipv4=("one",), ipv6=()),
        "caa": None,
    }
    return {record.resource_name: record for record in plan_records(**arguments | changes)}


def test_the_tunnel_name_holds_everyone_and_visitors_are_led_to_who_serves() -> None:
    found = planned()
    assert {name: record.servers for name, record in found.items()} == {
        "t.x-a": ("one", "two"),
        "t.x-aaaa": ("two",),
        "v.x-a": ("one",),
        "a.x-cname": (),
        "x-a": ("one",),
    }
    assert {name for name, record in found.items() if record.balanced} == {"v.x-a", "x-a"}


def test_a_site_below_the_zone_is_an_alias_and_the_zone_itself_cannot_be() -> None:
    found = planned()
    assert found["a.x-cname"].values == ("v.x",)
    assert "x-cname" not in found


def test_who_may_issue_certificates_is_said_at_every_zone() -> None:
    assert planned(caa=["letsencrypt.org"])["x-caa"].values == ('0 issue "letsencrypt.org"',)
    assert planned(caa=[])["x-caa"].values == ('0 issue ";"',), "an empty list is nobody"
    assert "x-caa" not in planned()


def test_a_sub_zone_is_delegated_by_the_nearest_zone_above() -> None:
    found = planned(zones=["x", "b.x", "c.b.x"], tunnel_name="t.c.b.x")
    assert (found["b.x-ns"].zone, found["c.b.x-ns"].zone) == ("x", "b.x")
    assert found["t.c.b.x-a"].zone == "c.b.x"
    with pytest.raises(LookupError):
        zone_of("t.y", ["x"])


def test_values_are_sorted_and_a_missing_address_is_no_silent_gap() -> None:
    spec = RecordSpec(name="t.x", type="A", ttl=60, zone="x", servers=("one", "two"))
    filled = fill([spec], {("one", "A"): "192.0.2.9", ("two", "A"): "192.0.2.1"}, {})
    assert filled == [{"name": "t.x", "type": "A", "ttl": 60, "values": ["192.0.2.1", "192.0.2.9"]}]
    with pytest.raises(KeyError):
        fill([spec], {("one", "A"): "192.0.2.9"}, {})


def test_names_in_values_end_with_a_dot() -> None:
    specs = [
        RecordSpec(name="a.x", type="CNAME", ttl=60, zone="x", values=("v.x",)),
        RecordSpec(name="b.x", type="NS", ttl=60, zone="x", delegates="b.x"),
        RecordSpec(name="x", type="CAA", ttl=60, zone="x", values=('0 issue ";"',)),
    ]
    filled = fill(specs, {}, {"b.x": ["ns2.example", "ns1.example."]})
    assert [record["values"] for record in filled] == [
        ["v.x."],
        ["ns1.example.", "ns2.example."],
        ['0 issue ";"'],
    ]
