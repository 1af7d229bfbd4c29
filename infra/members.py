"""Servers and clients of the configuration: one entry may stand for several machines. Pure.

`count` copies an entry; the copies are numbered, so that one more renames no other.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, get_args

from infra import capabilities
from infra.capabilities import CloudName, Machine
from infra.fields import Fields, Form, form
from runtime.documents.fleet import Role

Egress = Literal["nat", "public-ip"]
State = Literal["joining", "serving", "draining"]
STATES: tuple[State, ...] = get_args(State)
EGRESS: tuple[Egress, ...] = get_args(Egress)

MAX_COUNT = 256
SPREAD = 3  # zones that copies are spread over unless the entry names its own
GENERATION_STEP = 64  # how far the explicit addresses of one generation are from the next one's
_ANY = Form(r"[^\x00-\x1f]+", "a text", 256)
_ABSOLUTE = Form(r"/[^\x00-\x1f]*", "an absolute path", 4096)
ADMIN = "127.0.0.1:9443"
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - a tunnel server is public
MACHINE_KEYS = ("zone", "zones", "count", "type", "tee", "admin", "state", "renamed_from")
SERVER_KEYS = ("name", "cloud", "region")
SERVER_OPTIONAL = (*MACHINE_KEYS, "listen")
CLIENT_OPTIONAL = (*MACHINE_KEYS, "reconnect_cap_s", "bundle")
CLIENT_KEYS = ("name", "cloud", "region", "hostnames", "egress", "routes")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """One tunnel server."""

    name: str
    machine: Machine
    state: State
    renamed_from: str  # its name before; empty: it never had another
    listen: tuple[str, ...]
    admin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleConfig:
    """A static site that runs inside a client's VM, on loopback."""

    urls: tuple[str, ...]
    sha256: str  # of the tar, hex
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """One tunnel client; exactly one of routes_file and routes_urls is not empty."""

    name: str
    machine: Machine
    state: State
    renamed_from: str
    admin: str
    hostnames: tuple[str, ...]
    egress: Egress
    routes_file: str
    routes_urls: tuple[str, ...]
    reconnect_cap_s: float
    bundle: BundleConfig | None


@dataclass(slots=True)
class Lists:
    """The configuration's lists of members, and the entry that each member came from."""

    top: Fields
    paths: dict[tuple[Role, int], str] = field(default_factory=dict[tuple[Role, int], str])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Copy:
    """One machine of an entry."""

    index: int
    name: str
    renamed_from: str
    machine: Machine
    state: State
    admin: str


# Stands where a machine was wrong; such a configuration is refused before anybody reads it.
_NO_MACHINE = Machine(cloud="aws", tee="sev-snp", type="", region="", zone="", product=None, grade="T")


def servers(lists: Lists) -> tuple[ServerConfig, ...]:
    """Return every server; mistakes are kept in the fields."""
    found: list[ServerConfig] = []
    for part in lists.top.parts("servers", SERVER_KEYS, SERVER_OPTIONAL, least=1):
        listen = part.texts("listen", form("address"), _EVERYWHERE, least=1)
        for copy in _copies(part):
            lists.paths["server", len(found)] = part.path
            found.append(
                ServerConfig(
                    name=copy.name,
                    machine=copy.machine,
                    state=copy.state,
                    renamed_from=copy.renamed_from,
                    listen=tuple(shifted_address(address, copy.index) for address in listen),
                    admin=copy.admin,
                )
            )
    return tuple(found)


def clients(lists: Lists) -> tuple[ClientConfig, ...]:
    """Return every client; mistakes are kept in the fields."""
    found: list[ClientConfig] = []
    for part in lists.top.parts("clients", CLIENT_KEYS, CLIENT_OPTIONAL, least=0):
        routes = part.part("routes", (), ("file", "urls"))
        if ("file" in routes.values) == ("urls" in routes.values) and "routes" in part.values:
            part.wrong("routes", "want exactly one of file and urls")
        hostnames = part.texts("hostnames", form("hostname"), least=1)
        egress: Egress = part.choice("egress", EGRESS, "nat")
        file, urls = routes.text("file", _ABSOLUTE), routes.texts("urls", form("url"), least=1)
        cap = part.number("reconnect_cap_s", 0.1, 300, 30)
        bundle = _bundle(part)
        for copy in _copies(part):
            lists.paths["client", len(found)] = part.path
            found.append(
                ClientConfig(
                    name=copy.name,
                    machine=copy.machine,
                    state=copy.state,
                    renamed_from=copy.renamed_from,
                    admin=copy.admin,
                    hostnames=hostnames,
                    egress=egress,
                    routes_file=file,
                    routes_urls=urls,
                    reconnect_cap_s=cap,
                    bundle=bundle,
                )
            )
    return tuple(found)


def _bundle(part: Fields) -> BundleConfig | None:
    if "bundle" not in part.values:
        return None
    found = part.part("bundle", ("urls", "sha256", "port"))
    return BundleConfig(
        urls=found.texts("urls", form("url"), least=1),
        sha256=found.text("sha256", form("sha256")),
        port=found.integer("port", 1024, 65535, 8080),
    )


def _copies(part: Fields) -> Iterator[_Copy]:
    """Yield the machines of one entry, at least one; each mistake is kept once."""
    count = part.integer("count", 1, MAX_COUNT, 1)
    name, before = part.text("name", form("label")), part.text("renamed_from", form("label"))
    admin = part.text("admin", form("socket"), ADMIN)
    state: State = part.choice("state", STATES, "serving")
    machines = _machines(part, count)
    for index in range(count):
        numbered = f"-{index + 1}" if "count" in part.values else ""
        yield _Copy(
            index=index,
            name=name + numbered,
            renamed_from=before and before + numbered,
            machine=machines[index % len(machines)],
            state=state,
            admin=shifted_socket(admin, index),
        )


def _machines(part: Fields, count: int) -> list[Machine]:
    cloud: CloudName = part.choice("cloud", capabilities.CLOUD_NAMES, "aws")
    if part.values.get("cloud") != cloud:
        return [_NO_MACHINE]
    if "zone" in part.values and "zones" in part.values:
        part.wrong("zones", "want only one of zone and zones")
    region, kind, tee = part.text("region", _ANY), part.text("type", _ANY), part.text("tee", _ANY)
    named = part.texts("zones", _ANY, least=1)
    spread = capabilities.zones(cloud, region)[:SPREAD] if count > 1 else ("",)
    zones = (part.text("zone", _ANY),) if "zone" in part.values else named or spread
    told: set[tuple[str, str]] = set()
    found: list[Machine] = []
    for zone in zones:
        machine, mistakes = capabilities.choose(
            cloud=cloud, region=region, zone=zone, machine_type=kind, tee=tee
        )
        found.append(machine or _NO_MACHINE)
        told |= {(key, message) for key, message in mistakes if key != "region" or "region" in part.values}
    for key, message in sorted(told):
        part.wrong("zones" if key == "zone" and named else key, message)
    return found


def shifted_address(address: str, steps: int) -> str:
    """Return the address that many further; an unspecified one listens everywhere and stays."""
    try:
        parsed = ipaddress.ip_address(address)
        return address if parsed.is_unspecified else str(parsed + steps)
    except ValueError:
        return address  # the settings' own reader refuses it, with its place


def shifted_socket(socket: str, steps: int) -> str:
    """Return the socket at the address that many further; the usual one is every machine's own loopback."""
    host, _, port = socket.rpartition(":")
    if socket == ADMIN or not steps:
        return socket
    moved = shifted_address(host.strip("[]"), steps)
    return f"[{moved}]:{port}" if ":" in moved else f"{moved}:{port}"
