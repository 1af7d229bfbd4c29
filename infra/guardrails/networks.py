"""Guardrails of networks: servers are open to their own ports, clients to nothing. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from infra.guardrails.machines import MACHINES, tags
from infra.guardrails.rule import Resource, ResourceRule, StackRule, Violation, shown, wants

INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
NSG = "azure-native:network:NetworkSecurityGroup"
FIREWALL = "gcp:compute/firewall:Firewall"
ADDRESS = "azure-native:network:PublicIPAddress"
SUBNET = "azure-native:network:Subnet"
AWS_SUBNET = "aws:ec2/subnet:Subnet"

MANAGEMENT = {22: "SSH", 23: "Telnet", 3389: "RDP", 5985: "WinRM", 5986: "WinRM"}
_LAST_DENY = 4096
_ONE_PORT = "one TCP port: a range opens what nobody listens on yet"


def _port(path: str, value: Any, protocol: Any) -> Iterator[Violation]:
    """Yield what is wrong with an inbound rule of this port, a number or its text."""
    if str(protocol).lower() != "tcp":
        yield Violation(property=path, value=f"{protocol} {value}", remedy="tcp: nothing of ours speaks else")
        return
    text = str(int(value)) if isinstance(value, float) else str(value)
    if not text.isdigit():
        yield Violation(property=path, value=value, remedy=_ONE_PORT)
    elif int(text) in MANAGEMENT:
        name = MANAGEMENT[int(text)]
        yield Violation(
            property=path,
            value=int(text),
            remedy=f"no {name}: the image has no way in, so nothing may try one",
        )


def _ingress(rule: Resource) -> Iterator[Violation]:
    if rule.at("fromPort") != rule.at("toPort"):
        yield Violation(
            property="toPort", value=rule.at("toPort"), remedy=f"{shown(rule.at('fromPort'))}, {_ONE_PORT}"
        )
    yield from _port("fromPort", rule.at("fromPort"), rule.at("ipProtocol"))


def _group(group: Resource) -> Iterator[Violation]:
    if group.at("ingress"):
        remedy = "rules of their own, which are checked one by one"
        yield Violation(property="ingress", value=group.at("ingress"), remedy=remedy)


def _nsg(group: Resource) -> Iterator[Violation]:
    rules: Sequence[Any] = group.at("securityRules") or ()
    client = tags(group).get("tunnel-role") == "client"
    for index, rule in enumerate(rules):
        if (rule.get("access"), rule.get("direction")) != ("Allow", "Inbound"):
            continue
        path = f"securityRules[{index}].destinationPortRange"
        if client:
            yield Violation(property=path, value=rule.get("name"), remedy="nothing inbound for a client")
        yield from _port(path, rule.get("destinationPortRange"), rule.get("protocol"))
    closed = any(
        (rule.get("access"), rule.get("direction"), rule.get("priority")) == ("Deny", "Inbound", _LAST_DENY)
        and rule.get("destinationPortRange") == rule.get("sourceAddressPrefix") == rule.get("protocol") == "*"
        for rule in rules
    )
    if not closed:
        yield Violation(
            property="securityRules",
            value=len(rules),
            remedy=f"a last rule of priority {_LAST_DENY} that denies all: Azure lets the network itself in",
        )


def _firewall(firewall: Resource) -> Iterator[Violation]:
    if firewall.at("direction") == "EGRESS":
        return
    if not firewall.at("targetTags"):
        remedy = "the tag of one server: without it the rule is for every machine"
        yield Violation(property="targetTags", value=firewall.at("targetTags"), remedy=remedy)
    allows: Sequence[Any] = firewall.at("allows") or ()
    for index, allow in enumerate(allows):
        path = f"allows[{index}].ports"
        for port in allow.get("ports") or ("every port",):
            yield from _port(path, port, allow.get("protocol"))


def _static(address: Resource) -> Iterator[Violation]:
    why = "an address that moves would be in DNS under another's machine"
    yield from wants(address, "publicIPAllocationMethod", "Static", why)
    yield from wants(address, "sku.name", "Standard", "basic addresses are open by default")


def _azure_subnet(subnet: Resource) -> Iterator[Violation]:
    yield from wants(subnet, "defaultOutboundAccess", False, "machines leave by what the plan names")


def _aws_subnet(subnet: Resource) -> Iterator[Violation]:
    yield from wants(subnet, "mapPublicIpOnLaunch", False, "addresses are static, or there is none")


def _clients_closed(resources: Sequence[Resource]) -> Iterator[tuple[Resource, Violation]]:
    clients = [r for r in resources if r.type in MACHINES and tags(r).get("tunnel-role") == "client"]
    parents = {client.parent for client in clients if client.parent}
    names = {tags(client).get("tunnel-member") for client in clients}
    remedy = "nothing inbound for a client: it dials out"
    for resource in resources:
        if resource.type == INGRESS and resource.parent in parents:
            yield resource, Violation(property="fromPort", value=resource.at("fromPort"), remedy=remedy)
        if resource.type == FIREWALL and resource.at("direction") != "EGRESS":
            for tag in resource.at("targetTags") or ():
                if tag in names:
                    yield resource, Violation(property="targetTags", value=tag, remedy=remedy)


RULES = (
    ResourceRule(name="one-port-at-a-time", description="inbound rules", types=(INGRESS,), check=_ingress),
    ResourceRule(name="rules-apart", description="no inline rules", types=(GROUP,), check=_group),
    ResourceRule(
        name="closed-by-default",
        description="an NSG opens its ports and denies the rest",
        types=(NSG,),
        check=_nsg,
    ),
    ResourceRule(name="narrow-firewall", description="inbound rules", types=(FIREWALL,), check=_firewall),
    ResourceRule(name="static-address", description="addresses stay", types=(ADDRESS,), check=_static),
    ResourceRule(
        name="no-default-outbound", description="egress is named", types=(SUBNET,), check=_azure_subnet
    ),
    ResourceRule(
        name="no-stray-address", description="addresses are named", types=(AWS_SUBNET,), check=_aws_subnet
    ),
)
STACK_RULES = (StackRule(name="clients-closed", description="nobody dials a client", check=_clients_closed),)
