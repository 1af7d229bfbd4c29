"""Routes: which origin a tunnel client publishes under which hostname. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any, Literal

from runtime.documents import schema
from runtime.errors import DocumentError, Problem

WHAT = "routes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """PEM files of a site: the chain, leaf first, and its private key."""

    chain: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One hostname and the origin behind it."""

    hostname: str  # lower case; *.x matches one label
    kind: Literal["tls", "http"]  # tls: bytes go on untouched; http: the client ends TLS
    host: str
    port: int
    certificate: Certificate | None  # present exactly where kind is http


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """A tunnel client's routes, most specific hostname first."""

    version: int
    routes: tuple[Route, ...]


def read(data: bytes) -> Routes:
    """Read `routes.json`. Raises: DocumentError with every problem."""
    raw = schema.read(data, WHAT, "routes")
    problems: list[Problem] = []
    seen: set[str] = set()
    routes: list[Route] = []
    for index, entry in enumerate(raw["routes"]):
        path = f"$.routes[{index}]"
        if entry["hostname"] in seen:
            problems.append(Problem(f"{path}.hostname", f'"{entry["hostname"]}" is there twice'))
        seen.add(entry["hostname"])
        route = _route(entry, path, problems)
        if route is not None:
            routes.append(route)
    if problems:
        raise DocumentError(WHAT, problems)
    routes.sort(
        key=lambda route: (route.hostname.startswith("*"), -route.hostname.count("."), route.hostname)
    )
    return Routes(version=raw["version"], routes=tuple(routes))


def _route(entry: dict[str, Any], path: str, problems: list[Problem]) -> Route | None:
    kind, _, authority = entry["service"].partition("://")
    host, _, port_text = authority.rpartition(":")
    host = host.strip("[]")
    where = f"{path}.service"
    if not port_text.isascii() or not port_text.isdigit() or not 1 <= int(port_text) <= 65535:
        problems.append(Problem(where, f'is "{entry["service"]}", want {kind}://address:port'))
        return None
    if not _is_loopback(host):
        # design §5: an origin is loopback, or TLS with a pinned key, or a named waiver.
        want = "a loopback address (127.0.0.1, ::1 or localhost): nothing protects the bytes on a network"
        problems.append(Problem(where, f'names "{host}", want {want}'))
    certificate = entry.get("certificate")
    if (certificate is None) == (kind == "http"):
        want = "want chain and key files" if kind == "http" else "want none: the origin ends TLS itself"
        problems.append(
            Problem(f"{path}.certificate", f"{'is missing' if kind == 'http' else 'is given'}, {want}")
        )
        return None
    return Route(
        hostname=entry["hostname"],
        kind="http" if kind == "http" else "tls",
        host=host,
        port=int(port_text),
        certificate=Certificate(chain=certificate["chain"], key=certificate["key"]) if certificate else None,
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
