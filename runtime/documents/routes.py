"""Routes: which origin a tunnel client publishes under which hostname. Pure."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from runtime.documents import schema
from runtime.errors import DocumentError, Problem

WHAT = "routes"

# What stands before :// in a service. tls: the visitor's TLS goes on untouched. The others end it at the
# client: http and h2c go on in plaintext to loopback, https and h2 over TLS to a pinned certificate.
Kind: TypeAlias = Literal["tls", "http", "h2c", "https", "h2"]
_PINNED = ("https", "h2")
# The last label is not a number, or 2130706433 and 127.1 would be names to us and addresses to a resolver.
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"(?=.{{1,253}}$)({_LABEL}\.)*(?![0-9]+$|0x[0-9a-f]*$){_LABEL}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """PEM files of a site: the chain, leaf first, and its private key."""

    chain: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One hostname and the origin behind it."""

    hostname: str  # lower case; *.x matches one label
    kind: Kind
    host: str  # loopback, but where kind is https or h2
    port: int
    certificate: Certificate | Literal["at_boot"] | None  # absent exactly where kind is tls
    pins: tuple[bytes, ...]  # SHA-256 of the origin's certificate, DER; exactly where kind is https or h2
    proxy_protocol: bool  # begin with a PROXY protocol v2 header


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
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    where = f"{path}.service"
    if not port_text.isascii() or not port_text.isdigit() or not 1 <= int(port_text) <= 65535:
        problems.append(Problem(where, f'is "{entry["service"]}", want {kind}://address:port'))
        return None
    pinned, pins = kind in _PINNED, entry.get("origin_certificate_sha256", ())
    problem = _wrong_host(kind, host)
    if not problem and (":" in host) is not bracketed:
        problem = "an IPv6 address, and nothing else, in brackets"
    if problem:
        problems.append(Problem(where, f'names "{host}", want {problem}'))
    certificate = entry.get("certificate")
    ends_tls = kind != "tls"
    if (certificate is None) is ends_tls:
        want = "want chain and key files, or at_boot" if ends_tls else "want none: the origin ends TLS itself"
        problems.append(Problem(f"{path}.certificate", f"{'is missing' if ends_tls else 'is given'}, {want}"))
    if pinned is not bool(pins):
        want = "want the SHA-256 of the certificate that the origin shows: nothing else is trusted there"
        unused = f"want none: {kind} has no TLS of ours to check it in (https and h2 have)"
        problem = f"is missing, {want}" if pinned else f"is given, {unused}"
        problems.append(Problem(f"{path}.origin_certificate_sha256", problem))
    return Route(
        hostname=entry["hostname"],
        kind=kind,
        host=host,
        port=int(port_text),
        certificate=Certificate(**certificate) if isinstance(certificate, dict) else certificate,
        pins=tuple(bytes.fromhex(pin) for pin in pins),
        proxy_protocol="proxy_protocol" in entry,
    )


def _wrong_host(kind: str, host: str) -> str:
    """Return what a service of this kind wants instead of `host`, nothing when it will do."""
    if kind not in _PINNED:
        # An origin is loopback, or TLS with a pinned key, or a named waiver.
        want = "a loopback address (127.0.0.1, ::1 or localhost): nothing protects the bytes on a network"
        return "" if _is_loopback(host) else f"{want}, or https:// or h2:// with origin_certificate_sha256"
    return "" if _is_address(host) or _NAME.fullmatch(host) else "an IP address or a DNS name in lower case"


def _is_address(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
