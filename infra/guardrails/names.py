"""Guardrails of names: short lives, public addresses, checked health, delegation, protection. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence

from infra.config import MAX_TTL_S
from infra.guardrails.rule import LOCAL, Resource, ResourceRule, StackRule, Violation, wants

ROUTE53 = "aws:route53/record:Record"
AZURE = "azure-native:dns:RecordSet"
CLOUD_DNS = "gcp:dns/recordSet:RecordSet"
RECORDS = (ROUTE53, AZURE, CLOUD_DNS)
ZONES = ("aws:route53/zone:Zone", "azure-native:dns:Zone", "gcp:dns/managedZone:ManagedZone")
HEALTH = "aws:route53/healthCheck:HealthCheck"
_SHORT_LIVED = {"A", "AAAA", "CNAME"}
_LEAST = 2  # servers behind a name


def record_type(record: Resource) -> str:
    """Return A, AAAA, ..."""
    return str(record.at("recordType" if record.type == AZURE else "type"))


def addresses(record: Resource) -> tuple[str, list[str]]:
    """Return the property that holds a record's addresses, and them."""
    if record.type == ROUTE53:
        return "records", list(record.at("records") or ())
    if record.type == CLOUD_DNS:
        return "rrdatas", list(record.at("rrdatas") or ())
    kind = record_type(record)
    path, key = ("aRecords", "ipv4Address") if kind == "A" else ("aaaaRecords", "ipv6Address")
    return path, [str(entry.get(key)) for entry in record.at(path) or ()]


def _ttl(record: Resource) -> Iterator[Violation]:
    found = record.at("ttl")
    if record_type(record) in _SHORT_LIVED and not 1 <= (found or 0) <= MAX_TTL_S:
        remedy = f"1 to {MAX_TTL_S}: a removed server must be forgotten within a drain"
        yield Violation(property="ttl", value=found, remedy=remedy)


def _public(record: Resource) -> Iterator[Violation]:
    if record.stack == LOCAL or record_type(record) not in {"A", "AAAA"}:
        return
    path, found = addresses(record)
    for text in found:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            yield Violation(property=path, value=text, remedy="an address literal")
            continue
        # RFC 2544's and RFC 3849's ranges are what a local run hands out in the place of real ones.
        stand_in = address in ipaddress.ip_network(
            "198.18.0.0/15" if address.version == 4 else "2001:db8::/32"
        )
        if not address.is_global and not stand_in:
            yield Violation(property=path, value=text, remedy="a public address: visitors come from anywhere")
        if (address.version == 6) != (record_type(record) == "AAAA"):
            yield Violation(property=path, value=text, remedy=f"an address of {record_type(record)} records")


def _health(check: Resource) -> Iterator[Violation]:
    yield from wants(check, "type", "HTTPS", "a port that is open is no server that serves")
    yield from wants(check, "enableSni", True, "a server answers its own name only")
    yield from wants(check, "resourcePath", "/readyz", "what says whether a server can serve")


def _protected(zone: Resource) -> Iterator[Violation]:
    if zone.stack != LOCAL and not zone.protect:
        remedy = "true: the registrar points at its name servers (tunnel:protect false is for a teardown)"
        yield Violation(property="protect", value=False, remedy=remedy)


def _round_robin(resources: Sequence[Resource]) -> Iterator[tuple[Resource, Violation]]:
    """Tell a name that one server alone answers: losing it is losing the service."""
    sets: dict[tuple[str, str], list[Resource]] = {}
    for record in resources:
        if record.type in RECORDS and record_type(record) == "A":
            sets.setdefault(
                (record.type, str(record.at("name") or record.at("relativeRecordSetName"))), []
            ).append(record)
    for records in sets.values():
        values = [text for record in records for text in addresses(record)[1]]
        if len(values) < _LEAST:
            yield (
                records[0],
                Violation(
                    property=addresses(records[0])[0],
                    value=values,
                    remedy=f"{_LEAST} servers at least: there is no other to go to when it ends",
                ),
            )


def _delegated(resources: Sequence[Resource]) -> Iterator[tuple[Resource, Violation]]:
    """A zone below another of the same stack needs its name servers there."""
    zones = {
        str(zone.at("name") if zone.type == ZONES[0] else zone.at("zoneName") or zone.at("dnsName")).rstrip(
            "."
        ): zone
        for zone in resources
        if zone.type in ZONES
    }
    delegated = {
        name
        for record in resources
        if record.type in RECORDS and record_type(record) == "NS"
        for name in _full_names(record, list(zones))
    }
    for name, zone in sorted(zones.items()):
        above = [other for other in zones if name.endswith("." + other)]
        if above and name not in delegated:
            remedy = f"an NS record of it in {max(above, key=len)}: nobody finds it without"
            yield zone, Violation(property="name", value=name, remedy=remedy)


def _full_names(record: Resource, zones: list[str]) -> list[str]:
    if record.type == AZURE:
        relative = str(record.at("relativeRecordSetName"))
        return [f"{relative}.{zone}" for zone in zones if relative != "@"]
    return [str(record.at("name")).rstrip(".")]


RULES = (
    ResourceRule(name="short-ttl", description="names are forgotten soon", types=RECORDS, check=_ttl),
    ResourceRule(name="public-addresses", description="visitors can go there", types=RECORDS, check=_public),
    ResourceRule(
        name="checked-health", description="health is asked by HTTPS", types=(HEALTH,), check=_health
    ),
    ResourceRule(
        name="zone-protected",
        description="zones are not deleted by chance",
        types=ZONES,
        check=_protected,
        advisory=True,
    ),
)
STACK_RULES = (
    StackRule(name="round-robin", description="two servers behind a name", check=_round_robin, advisory=True),
    StackRule(name="delegated", description="sub-zones are found", check=_delegated),
)
