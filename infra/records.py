"""The fleet's DNS records as plain data: which name holds whose addresses. Pure.

One record set per name and family holds every server, so an answer is the whole round robin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

Family = Literal["A", "AAAA"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSpec:
    """One record set, its addresses still named by the servers that will have them."""

    name: str
    type: Family
    ttl: int  # seconds
    servers: tuple[str, ...]

    @property
    def resource_name(self) -> str:
        """Return the stable name of the resource: the record's name and type."""
        return f"{self.name}-{self.type.lower()}"


class Record(TypedDict):
    """One record set as it is served."""

    name: str
    type: Family
    ttl: int
    values: list[str]


def plan_records(
    *, tunnel_name: str, sites: Sequence[str], ttl: int, servers: Sequence[str], ipv6_servers: Sequence[str]
) -> tuple[RecordSpec, ...]:
    """Return the record sets of the tunnel name (tunnel clients ask it) and of every site (visitors do)."""
    families: list[tuple[Family, tuple[str, ...]]] = [("A", tuple(servers)), ("AAAA", tuple(ipv6_servers))]
    return tuple(
        RecordSpec(name=name, type=family, ttl=ttl, servers=members)
        for name in (tunnel_name, *sites)
        for family, members in families
        if members
    )


def fill(specs: Sequence[RecordSpec], addresses: Mapping[tuple[str, Family], str]) -> list[Record]:
    """Return the records with the addresses of their servers, sorted."""
    return [
        Record(
            name=spec.name,
            type=spec.type,
            ttl=spec.ttl,
            values=sorted(addresses[server, spec.type] for server in spec.servers),
        )
        for spec in specs
    ]
