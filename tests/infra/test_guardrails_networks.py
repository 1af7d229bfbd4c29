"""Networks and names by value: what is right, and what is said of it once one property is another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from infra.guardrails import names, networks
from infra.guardrails.machines import EC2, GCE
from infra.guardrails.names import AZURE, CLOUD_DNS, HEALTH, ROUTE53, ZONES
from infra.guardrails.networks import (
    ADDRESS,
    AWS_SUBNET,
    FIREWALL,
    GROUP,
    INGRESS,
    NSG,
    SUBNET,
)
from infra.guardrails.rule import Resource, Violation

RULES = (*networks.RULES, *names.RULES)
DENY = {
    "access": "Deny",
    "direction": "Inbound",
    "priority": 4096,
    "destinationPortRange": "*",
    "sourceAddressPrefix": "*",
    "protocol": "*",
}
ALLOW = {"name": "visitors", "access": "Allow", "direction": "Inbound", "priority": 100, "protocol": "Tcp"}
CLIENT = {"tunnel-role": "client", "tunnel-member": "client-1"}


def resource(kind: str, parent: str = "", **props: Any) -> Resource:
    return Resource(type=kind, name="r", stack="prod", parent=parent, protect=False, props=props)


def told(kind: str, **props: Any) -> list[tuple[str, Any]]:
    """Return property and value of each violation but those that are advice."""
    one = resource(kind, **props)
    found: list[Violation] = [
        violation
        for rule in RULES
        if kind in rule.types and not rule.advisory
        for violation in rule.check(one)
    ]
    return [(violation.property, violation.value) for violation in found]


def nsg(*rules: Mapping[str, Any], **props: Any) -> list[tuple[str, Any]]:
    return told(NSG, securityRules=list(rules), **props)


@pytest.mark.parametrize(
    ("ports", "protocol", "wanted"),
    [
        ((443, 443), "tcp", []),
        ((443.0, 443.0), "tcp", []),  # as the engine hands numbers on
        ((7444, 7450), "tcp", [("toPort", 7450)]),
        ((22, 22), "tcp", [("fromPort", 22)]),
        ((443, 443), "udp", [("fromPort", "udp 443")]),
        ((None, None), "-1", [("fromPort", "-1 None")]),
        ((None, None), "tcp", [("fromPort", None)]),
    ],
)
def test_an_inbound_rule_is_of_one_port(
    ports: tuple[Any, Any], protocol: str, wanted: list[tuple[str, Any]]
) -> None:
    assert told(INGRESS, fromPort=ports[0], toPort=ports[1], ipProtocol=protocol) == wanted


def test_a_group_has_its_rules_apart() -> None:
    assert told(GROUP) == []
    assert told(GROUP, ingress=[{"fromPort": 443}]) == [("ingress", [{"fromPort": 443}])]


def test_a_network_security_group_opens_its_ports_and_denies_the_rest() -> None:
    path = "securityRules[0].destinationPortRange"
    assert nsg({**ALLOW, "destinationPortRange": "443"}, DENY) == []
    assert nsg({**ALLOW, "direction": "Outbound", "destinationPortRange": "*"}, DENY) == []
    assert nsg({**ALLOW, "destinationPortRange": "7444-7450"}, DENY) == [(path, "7444-7450")]
    assert nsg({**ALLOW, "destinationPortRange": "3389"}, DENY) == [(path, 3389)]
    assert nsg({**ALLOW, "destinationPortRange": "443"}, DENY, tags=CLIENT) == [(path, "visitors")]
    for last in ({}, {**DENY, "priority": 4095}, {**DENY, "protocol": "Tcp"}, {**DENY, "access": "Allow"}):
        assert ("securityRules", 1) in nsg(last)
    assert told(NSG) == [("securityRules", 0)]


def test_a_firewall_is_for_one_server_and_its_ports() -> None:
    right = {
        "direction": "INGRESS",
        "targetTags": ["aws-1"],
        "allows": [{"protocol": "tcp", "ports": ["443"]}],
    }
    assert told(FIREWALL, **right) == []
    assert told(FIREWALL, **right | {"targetTags": None}) == [("targetTags", None)]
    every = told(FIREWALL, **right | {"allows": [{"protocol": "tcp"}]})
    assert every == [("allows[0].ports", "every port")]
    assert told(FIREWALL, direction="EGRESS") == []
    assert told(FIREWALL, **right | {"allows": None}) == []


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        (
            ADDRESS,
            {"publicIPAllocationMethod": "Static", "sku": {"name": "Standard"}},
            {"sku": {"name": "Basic"}},
        ),
        (SUBNET, {"defaultOutboundAccess": False}, {"defaultOutboundAccess": None}),
        (AWS_SUBNET, {"mapPublicIpOnLaunch": False}, {"mapPublicIpOnLaunch": True}),
        (
            HEALTH,
            {"type": "HTTPS", "enableSni": True, "resourcePath": "/readyz"},
            {"resourcePath": "/"},
        ),
        (ROUTE53, {"type": "A", "ttl": 60, "records": ["8.8.8.8"]}, {"ttl": 300}),
        (ROUTE53, {"type": "CNAME", "ttl": 1}, {"ttl": None}),
        (CLOUD_DNS, {"type": "AAAA", "ttl": 60, "rrdatas": ["2606:4700::1"]}, {"rrdatas": ["fe80::1"]}),
        (
            AZURE,
            {"recordType": "A", "ttl": 60, "aRecords": [{"ipv4Address": "8.8.8.8"}]},
            {"aRecords": [{"ipv4Address": "10.0.0.1"}]},
        ),
        (
            AZURE,
            {"recordType": "AAAA", "ttl": 60, "aaaaRecords": [{"ipv6Address": "2606:4700::1"}]},
            {"aaaaRecords": [{"ipv6Address": "::1"}]},
        ),
    ],
    ids=lambda value: str(value)[:30],
)
def test_one_other_property_is_told(kind: str, right: dict[str, Any], wrong: dict[str, Any]) -> None:
    assert told(kind, **right) == []
    assert len(told(kind, **right | wrong)) == 1


def test_a_name_server_record_may_live_long() -> None:
    assert told(ROUTE53, type="NS", ttl=172800, records=["ns.example."]) == []
    assert told(AZURE, recordType="A", ttl=60) == []


def test_nobody_dials_a_client() -> None:
    (rule,) = networks.STACK_RULES
    at_aws = resource(EC2, "urn:client", tags=CLIENT)
    at_google = resource(GCE, labels=CLIENT)
    server = resource(EC2, "urn:server", tags={"tunnel-role": "server", "tunnel-member": "aws-1"})
    right = [
        resource(INGRESS, "urn:server", fromPort=443),
        resource(FIREWALL, direction="INGRESS", targetTags=["aws-1"]),
        resource(FIREWALL, direction="EGRESS", targetTags=["client-1"]),
        resource(FIREWALL, direction="INGRESS"),
    ]
    assert list(rule.check([at_aws, at_google, server, *right])) == []
    wrong = [
        resource(INGRESS, "urn:client", fromPort=443),
        resource(FIREWALL, direction="INGRESS", targetTags=["aws-1", "client-1"]),
    ]
    found = [
        (violation.property, violation.value) for _, violation in rule.check([at_aws, at_google, *wrong])
    ]
    assert found == [("fromPort", 443), ("targetTags", "client-1")]


@pytest.mark.parametrize(
    ("zones", "record"),
    [
        (
            (resource(ZONES[0], name="example.com"), resource(ZONES[0], name="t.example.com")),
            resource(ROUTE53, type="NS", name="t.example.com"),
        ),
        (
            (resource(ZONES[1], zoneName="example.com"), resource(ZONES[1], zoneName="t.example.com")),
            resource(AZURE, recordType="NS", relativeRecordSetName="t"),
        ),
        (
            (resource(ZONES[2], dnsName="example.com."), resource(ZONES[2], dnsName="t.example.com.")),
            resource(CLOUD_DNS, type="NS", name="t.example.com."),
        ),
    ],
    ids=["route53", "azure", "cloud-dns"],
)
def test_a_zone_below_another_is_delegated(zones: tuple[Resource, ...], record: Resource) -> None:
    rule = next(rule for rule in names.STACK_RULES if rule.name == "delegated")
    assert list(rule.check([*zones, record])) == []
    ((zone, violation),) = rule.check(list(zones))
    assert (zone, violation.value) == (zones[1], "t.example.com")
    assert "in example.com:" in violation.remedy
    apex = resource(AZURE, recordType="NS", relativeRecordSetName="@")
    assert len(list(rule.check([*zones, apex]))) == 1
    assert len(list(rule.check([*zones, resource(ROUTE53, type="A", name="t.example.com")]))) == 1


def test_two_servers_answer_a_name_at_every_provider() -> None:
    rule = next(rule for rule in names.STACK_RULES if rule.name == "round-robin")
    alone = resource(AZURE, recordType="A", relativeRecordSetName="t", aRecords=[{"ipv4Address": "8.8.8.8"}])
    assert [violation.property for _, violation in rule.check([alone])] == ["aRecords"]
    two = resource(CLOUD_DNS, type="A", name="t.example.com.", rrdatas=["8.8.8.8", "8.8.4.4"])
    assert list(rule.check([two, resource(EC2), resource(ROUTE53, type="AAAA", name="t")])) == []
