"""The rules by value; test_mistakes.py has each violated in a preview, through the real Analyzer."""

from __future__ import annotations

from typing import Any

import pytest

from infra.guardrails import images, machines, names, networks
from infra.guardrails.rule import Resource, Violation, forbids, shown, wants
from tests.infra.mistakes import PROGRAM

RULES = (*machines.RULES, *images.RULES, *networks.RULES, *names.RULES)
STACK_RULES = (*images.STACK_RULES, *networks.STACK_RULES, *names.STACK_RULES)
RECORD, ZONE = "aws:route53/record:Record", "aws:route53/zone:Zone"


def resource(kind: str, stack: str = "dns-prod", *, protect: bool = False, **props: Any) -> Resource:
    return Resource(type=kind, name="r", stack=stack, parent="", protect=protect, props=props)


def test_every_mandatory_rule_has_a_mistake_that_violates_it() -> None:
    violated = {
        part.strip("[]") for mistake in PROGRAM.values() for part in mistake.told if part.startswith("[")
    }
    mandatory = {rule.name for rule in (*RULES, *STACK_RULES) if not rule.advisory}
    assert mandatory == violated
    assert len({rule.name for rule in (*RULES, *STACK_RULES)}) == len(RULES) + len(STACK_RULES)


def test_a_name_with_one_server_is_advised_against() -> None:
    rule = next(rule for rule in STACK_RULES if rule.name == "round-robin")
    alone = resource(RECORD, name="a.test", type="A", records=["192.0.2.1"])
    assert [violation.value for _, violation in rule.check([alone])] == [["192.0.2.1"]]
    other = resource(RECORD, name="a.test", type="A", records=["192.0.2.2"])
    assert not list(rule.check([alone, other])), "two records of one name are one answer"


def test_a_zone_that_nobody_protects_is_advised_against() -> None:
    rule = next(rule for rule in RULES if rule.name == "zone-protected")
    assert [v.property for v in rule.check(resource(ZONE, name="x"))] == ["protect"]
    assert not list(rule.check(resource(ZONE, name="x", protect=True)))
    assert not list(rule.check(resource(ZONE, "local", name="x"))), "a local fleet is thrown away"


@pytest.mark.parametrize(
    ("address", "kind", "good"),
    [
        ("192.168.1.1", "A", False),
        ("127.0.0.1", "A", False),
        ("fd00::1", "AAAA", False),
        ("8.8.8.8", "A", True),
        ("8.8.8.8", "AAAA", False),
        ("198.18.0.1", "A", True),
        ("x", "A", False),
    ],
)
def test_visitors_are_led_to_public_addresses_only(address: str, kind: str, good: bool) -> None:
    rule = next(rule for rule in RULES if rule.name == "public-addresses")
    assert (not list(rule.check(resource(RECORD, type=kind, records=[address])))) is good
    assert not list(rule.check(resource(RECORD, "local", type=kind, records=[address])))


def test_a_rule_says_property_value_and_remedy() -> None:
    found = resource("t", a={"b": 2}, c=["x"])
    assert [str(v) for v in wants(found, "a.b", 1, "because")] == ["a.b is 2, want 1: because"]
    assert [str(v) for v in wants(found, "a.z.y", 1, "because")] == ["a.z.y is missing, want 1: because"]
    assert [str(v) for v in forbids(found, "c.0", "why")] == ["c.0 is 'x', want nothing there: why"]
    assert not list(wants(found, "a.b", 2, ""))
    assert str(Violation(property="p", value={"k": 1}, remedy="r")) == "p is {k}, want r"


def test_long_values_are_cut_and_whole_numbers_are_whole() -> None:
    assert len(shown("x" * 500)) == 80
    assert shown(443.0) == "443"
    assert shown(["a", None]) == "['a', missing]"
