"""The fleet's DNS records as plain data: which name holds whose addresses. Pure.

One record set per name and family holds every server, so an answer is the whole round robin. The tunnel
name holds every server, those that join and drain too; the visitors' name holds those that serve.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

Family = Literal["A", "AAAA"]
RecordType = Literal["A", "AAAA", "CNAME", "CAA", "NS"]
DELEGATION_TTL_S = 300  # a delegation moves with its provider, not with a server


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSpec:
    """One record set; addresses and name servers are still named by what will have them."""

    name: str
    type: RecordType
    ttl: int  # seconds
    zone: str
    servers: tuple[str, ...] = ()  # of A and AAAA
    values: tuple[str, ...] = ()  # of CNAME (names without the final dot) and CAA
    delegates: str = ""  # of NS: the zone whose name servers they are
    balanced: bool = False  # visitors ask it: a provider that can leaves out the unhealthy

    @property
    def resource_name(self) -> str:
        """Return the stable name of the resource: the record's name and type."""
        return f"{self.name}-{self.type.lower()}"


class Record(TypedDict):
    """One record set as it is served."""

    name: str
    type: RecordType
    ttl: int
    values: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedServers:
    """The servers that a kind of name leads to, per family."""

    ipv4: tuple[str, ...]
    ipv6: tuple[str, ...]


def plan_records(
    *,
    tunnel_name: str,
    visitor_name: str,
    sites: Sequence[str],
    zones: Sequence[str],
    ttl: int,
    everyone: NamedServers,
    serving: NamedServers,
    caa: Sequence[str] | None,
) -> tuple[RecordSpec, ...]:
    """Return every record set: the two names, the sites, who may issue certificates, the delegations."""
    found = [
        *_addresses(tunnel_name, zones, ttl, everyone, balanced=False),
        *_addresses(visitor_name, zones, ttl, serving, balanced=True),
    ]
    for site in sites:
        if site in zones:
            # A zone's own name holds other records already, so it can be no alias: RFC 1034 3.6.2.
            found += _addresses(site, zones, ttl, serving, balanced=True)
        else:
            zone = zone_of(site, zones)
            found.append(RecordSpec(name=site, type="CNAME", ttl=ttl, zone=zone, values=(visitor_name,)))
    if caa is not None:
        values = tuple(f'0 issue "{issuer}"' for issuer in caa) or ('0 issue ";"',)
        found += [RecordSpec(name=zone, type="CAA", ttl=ttl, zone=zone, values=values) for zone in zones]
    for zone in zones:
        above = [other for other in zones if zone.endswith("." + other)]
        if above:
            parent = max(above, key=len)
            found.append(RecordSpec(name=zone, type="NS", ttl=DELEGATION_TTL_S, zone=parent, delegates=zone))
    return tuple(found)


def zone_of(name: str, zones: Sequence[str]) -> str:
    """Return the longest zone that a name is in, or is."""
    fitting = [zone for zone in zones if name == zone or name.endswith("." + zone)]
    if not fitting:
        message = f"{name} is in none of the zones {', '.join(zones)}"
        raise LookupError(message)
    return max(fitting, key=len)


def _addresses(
    name: str, zones: Sequence[str], ttl: int, servers: NamedServers, *, balanced: bool
) -> list[RecordSpec]:
    families: tuple[tuple[Family, tuple[str, ...]], ...] = (("A", servers.ipv4), ("AAAA", servers.ipv6))
    return [
        RecordSpec(
            name=name, type=family, ttl=ttl, zone=zone_of(name, zones), servers=members, balanced=balanced
        )
        for family, members in families
        if members
    ]


def fill(
    specs: Sequence[RecordSpec],
    addresses: Mapping[tuple[str, Family], str],
    name_servers: Mapping[str, Sequence[str]],
) -> list[Record]:
    """Return the records with the addresses of their servers and the name servers of their zones, sorted."""
    return [
        Record(name=spec.name, type=spec.type, ttl=spec.ttl, values=_values(spec, addresses, name_servers))
        for spec in specs
    ]


def _values(
    spec: RecordSpec,
    addresses: Mapping[tuple[str, Family], str],
    name_servers: Mapping[str, Sequence[str]],
) -> list[str]:
    if spec.type == "NS":
        return sorted(dotted(name) for name in name_servers[spec.delegates])
    if spec.type == "CNAME":
        return [dotted(name) for name in spec.values]
    if spec.type == "CAA":
        return list(spec.values)
    return sorted(addresses[server, spec.type] for server in spec.servers)


def dotted(name: str) -> str:
    """Return the name with the final dot that master files, and some providers, want."""
    return name if name.endswith(".") else f"{name}."
