"""What name servers answer for the fleet's names, beside what the stack put there. I/O (DNS).

A provider with health checks leaves out servers that do not answer, so a visitors' name may show fewer
addresses than its records; it may never show one that is not in them. The tunnel name shows all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dns.exception
import dns.resolver

from infra.records import Family, Record
from runtime.errors import UnreachableError, UsageError

_LIFETIME_S = 5.0  # for one question to one name server
FAMILIES: tuple[Family, ...] = ("A", "AAAA")


@dataclass(frozen=True, slots=True, kw_only=True)
class NameServer:
    """One server that is asked, by address and port."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The addresses of one name and family, and whether every one has to be seen."""

    name: str
    family: Family
    addresses: frozenset[str]
    exact: bool


def wanted(outputs: Mapping[str, Any]) -> tuple[Wanted, ...]:
    """Return what a stack's outputs put into DNS. Raises: UsageError."""
    try:
        records: Sequence[Record] = outputs["records"]
        tunnel_name: str = outputs["fleetDocument"]["tunnel_name"]
        return tuple(
            Wanted(
                name=record["name"],
                family=record["type"],
                addresses=frozenset(record["values"]),
                exact=record["name"] == tunnel_name,
            )
            for record in records
            if record["type"] == "A" or record["type"] == "AAAA"
        )
    except (KeyError, TypeError) as error:
        message = f"the outputs have no records: {error!r} is missing"
        raise UsageError(message, hint="pulumi stack output --json --stack dns-ENVIRONMENT > FILE") from error


def differences(names: Sequence[Wanted], server: NameServer) -> Iterator[str]:
    """Yield, in a sentence each, where this server does not answer what was put there."""
    resolver = resolver_at(server)
    for entry in names:
        try:
            found = addresses(resolver, entry.name, entry.family)
        except UnreachableError as error:
            yield str(error)
            continue
        if gone := sorted(found - entry.addresses):
            yield f"{server} still answers {', '.join(gone)} for {entry.name}"
        if missing := sorted(entry.addresses - found) if entry.exact or not found else []:
            yield f"{server} does not yet answer {', '.join(missing)} for {entry.name}"


def resolver_at(server: NameServer | None) -> dns.resolver.Resolver:
    """Return a resolver that asks one server, or the machine's own."""
    resolver = dns.resolver.Resolver(configure=server is None)
    if server is not None:
        resolver.nameservers = [server.address]
        resolver.port = server.port
    resolver.lifetime = _LIFETIME_S
    return resolver


def addresses(resolver: dns.resolver.Resolver, name: str, family: Family) -> frozenset[str]:
    """Return the addresses of a name; none is no error. Raises: UnreachableError."""
    try:
        # Absolute: a search list would ask for another name.
        answer = resolver.resolve(f"{name.rstrip('.')}.", family, search=False)
    except (dns.resolver.NoAnswer, dns.resolver.NXDOMAIN):
        return frozenset()
    except dns.exception.DNSException as error:
        message = f"{', '.join(map(str, resolver.nameservers))} did not answer for {name} {family}: {error}"
        raise UnreachableError(message) from error
    return frozenset(item.to_text() for item in answer)


def name_servers(zone: str, server: NameServer | None = None) -> frozenset[str]:
    """Return the name servers that the world is told for a zone. Raises: UnreachableError."""
    try:
        answer = resolver_at(server).resolve(f"{zone}.", "NS", search=False)
    except (dns.resolver.NoAnswer, dns.resolver.NXDOMAIN):
        return frozenset()
    except dns.exception.DNSException as error:
        message = f"nobody answered for {zone} NS: {error}"
        raise UnreachableError(message) from error
    return frozenset(item.to_text().lower() for item in answer)


def parse_server(text: str) -> NameServer:
    """Return the server of ADDRESS or ADDRESS:PORT, an IPv6 address in brackets. Raises: UsageError."""
    host, _, port = text.rpartition(":") if text.count(":") == 1 or "]:" in text else (text, "", "53")
    if not port.isdigit() or not 0 < int(port) < 65536 or not host:
        message = f"the resolver is {text!r}, want ADDRESS or ADDRESS:PORT"
        raise UsageError(message)
    return NameServer(address=host.strip("[]"), port=int(port))


def authoritative(outputs: Mapping[str, Any]) -> tuple[NameServer, ...]:
    """Return every name server of every zone of the outputs, by address. Raises: UnreachableError."""
    names = sorted({name for servers in outputs.get("nameServers", {}).values() for name in servers})
    resolver = resolver_at(None)
    found = {
        address for name in names for family in FAMILIES for address in addresses(resolver, name, family)
    }
    if not found:
        message = f"none of the name servers {', '.join(names) or '(no name)'} has an address"
        raise UnreachableError(message)
    return tuple(NameServer(address=address, port=53) for address in sorted(found))
