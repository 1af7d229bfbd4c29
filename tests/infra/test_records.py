"""Records are planned per name and family, and filled with sorted addresses."""

from __future__ import annotations

import pytest

from infra.records import RecordSpec, fill, plan_records


def test_a_family_without_servers_has_no_record() -> None:
    found = plan_records(tunnel_name="t.x", sites=["a.x", "x"], ttl=5, servers=["one"], ipv6_servers=[])
    assert [(record.name, record.type) for record in found] == [("t.x", "A"), ("a.x", "A"), ("x", "A")]
    assert found[0].resource_name == "t.x-a"


def test_values_are_sorted_and_a_missing_address_is_no_silent_gap() -> None:
    spec = RecordSpec(name="t.x", type="A", ttl=60, servers=("one", "two"))
    filled = fill([spec], {("one", "A"): "192.0.2.9", ("two", "A"): "192.0.2.1"})
    assert filled == [{"name": "t.x", "type": "A", "ttl": 60, "values": ["192.0.2.1", "192.0.2.9"]}]
    with pytest.raises(KeyError):
        fill([spec], {("one", "A"): "192.0.2.9"})
