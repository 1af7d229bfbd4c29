"""The fleet's configuration, typed: unknown keys refused, every mistake in one list. Pure.

It is the object `tunnel:fleet` of a Pulumi stack file, or the same object in a file of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from infra.fields import Bounds, Fields, Form, form, limits, open_object
from infra.members import STATES, ClientConfig, Lists, ServerConfig, State, clients, servers
from runtime.documents.fleet import GRADES, Grade
from runtime.documents.reference_values import SnpProduct
from runtime.documents.settings import Access
from runtime.documents.weaknesses import WEAKNESSES
from runtime.errors import DocumentError, Problem

WHAT = "configuration"
MAX_TTL_S = 60  # a removed server must be forgotten within a drain
MAX_LIFE_DAYS = 90
MAX_GENERATIONS = 2  # the one that serves, and the one that comes or goes
ROLES: tuple[Literal["server", "client", "key_receiver"], ...] = ("server", "client", "key_receiver")

Purpose = Literal["production", "test"]
Provider = Literal["route53", "azure_dns", "cloud_dns"]
PROVIDERS: tuple[Provider, ...] = get_args(Provider)
ACCESS: tuple[Access, ...] = get_args(Access)

_TAG = Form(r"[a-z][a-z0-9_-]{0,62}", "lower-case letters, digits, _ and - (what all three clouds take)", 63)
OptIns = Mapping[SnpProduct, Mapping[str, str]]
WEAK_PRODUCTS: Mapping[SnpProduct, tuple[str, ...]] = {
    product: tuple(sorted(ids)) for product, ids in WEAKNESSES.items() if ids
}
_REASON = Form(r"[^\x00-\x1f]{10,500}", "a reason of 10 to 500 characters")
_PATH = Form(r"[^\x00-\x1f]+", "a path", 4096)
_ZONE_ID = Form(r"[^\x00-\x1f]+", "the zone's id at its provider", 512)
_SYSTEM = "system"
REQUIRED = (
    *("name", "environment", "purpose", "owner_keys", "document", "tunnel_name", "visitor_name", "sites"),
    *("servers", "clients", "images", "dns", "least_grade"),
)
OPTIONAL = ("ports", "resolver", "workers", "limits", "access_log", "opt_in", "tags")


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentConfig:
    """Where the signed fleet document is published, and how long one lives."""

    urls: tuple[str, ...]
    endorsements: tuple[str, ...]  # of the bundle beside it; may be none
    min_version: int
    life_days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The ports of every tunnel server."""

    visitors: int
    sessions: int
    data: int  # worker n takes data + n


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One generation of machines: every member boots this image, and a copy of each member is of it."""

    number: int
    manifest: str  # path below the project's folder
    sha256: str
    artefacts: str  # folder of the baked files, below the project's folder
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneConfig:
    """One zone and the providers that serve it; `adopt` names zones that exist already."""

    name: str
    providers: tuple[Provider, ...]
    adopt: Mapping[Provider, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsConfig:
    """The zones that hold the fleet's names; each name is in the longest zone that it ends with."""

    zones: tuple[ZoneConfig, ...]
    ttl: int  # seconds
    caa: tuple[str, ...] | None  # who may issue certificates: None: no such record; (): nobody
    health_checks: bool  # where the provider has them for plain addresses (Route 53)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetConfig:
    """Everything the owner decided about one fleet."""

    name: str
    environment: str
    purpose: Purpose
    owner_keys: tuple[str, ...]  # raw Ed25519 public keys, hex
    document: DocumentConfig
    tunnel_name: str
    visitor_name: str
    sites: tuple[str, ...]
    ports: Ports
    resolver: str
    workers: int
    limits: Mapping[str, float]  # those that differ from their defaults
    access_log: Access  # of servers; a client's log has no addresses in any case
    servers: tuple[ServerConfig, ...]
    clients: tuple[ClientConfig, ...]
    images: tuple[Generation, ...]  # by number
    dns: DnsConfig
    least_grade: Mapping[str, Grade]
    opt_in: OptIns  # known-weak product -> id of a published attack -> why it is accepted
    tags: Mapping[str, str]


def parse(raw: object) -> FleetConfig:
    """Return the typed configuration. Raises: DocumentError with every problem."""
    from infra import contradictions  # it reads what this module defines

    problems: list[Problem] = []
    top = open_object(raw, "$", problems, REQUIRED, OPTIONAL)
    workers = top.integer("workers", 1, 64, 2)
    # A mistake is told at the entry that the person wrote, however many machines it stands for.
    lists = Lists(top)
    config = FleetConfig(
        name=top.text("name", form("label")),
        environment=top.text("environment", form("label")),
        purpose=top.choice("purpose", ("production", "test"), "production"),
        owner_keys=_owner_keys(top),
        document=_document(top),
        tunnel_name=top.text("tunnel_name", form("name")),
        visitor_name=top.text("visitor_name", form("name")),
        sites=top.texts("sites", form("name"), least=1),
        ports=_ports(top, workers),
        resolver=_resolver(top),
        workers=workers,
        limits=_limits(top),
        access_log=top.choice("access_log", ACCESS, "none"),
        servers=servers(lists),
        clients=clients(lists),
        images=_images(top),
        dns=_dns(top),
        least_grade=_least_grade(top),
        opt_in=_opt_in(top),
        tags=MappingProxyType(top.mapping("tags", _TAG, _TAG)),
    )
    if not problems:
        problems = contradictions.find(config, lists)
    if problems:
        raise DocumentError(WHAT, problems)
    return config


def _owner_keys(top: Fields) -> tuple[str, ...]:
    keys = top.texts("owner_keys", form("ed25519"), least=1)
    if len(keys) > 2:
        top.wrong("owner_keys", f"has {len(keys)} keys, want one, or two during a rotation")
    return keys


def _document(top: Fields) -> DocumentConfig:
    part = top.part("document", ("urls", "min_version", "life_days"), ("endorsements",))
    return DocumentConfig(
        urls=part.texts("urls", form("url"), least=1),
        endorsements=part.texts("endorsements", form("url"), least=1),
        min_version=part.integer("min_version", 1, 2**53 - 1, 1),
        life_days=part.integer("life_days", 1, MAX_LIFE_DAYS, 1),
    )


def _ports(top: Fields, workers: int) -> Ports:
    part = top.part("ports", (), ("visitors", "sessions", "data"))
    ports = Ports(
        visitors=part.integer("visitors", 1, 65535, 443),
        sessions=part.integer("sessions", 1, 65535, 7443),
        data=part.integer("data", 1, 65536 - workers, 7444),
    )
    taken = range(ports.data, ports.data + workers)
    for name, port in (("visitors", ports.visitors), ("sessions", ports.sessions)):
        if port in taken:
            part.wrong(
                name, f"is {port}, which a worker's data port takes ({taken.start} to {taken.stop - 1})"
            )
    if ports.visitors == ports.sessions:
        part.wrong("sessions", f"is {ports.sessions}, the visitors' port too")
    return ports


def _limits(top: Fields) -> Mapping[str, float]:
    known = limits()
    part = top.part("limits", (), tuple(known))
    return MappingProxyType({name: _limit(part, name, known[name]) for name in known if name in part.values})


def _limit(part: Fields, name: str, bounds: Bounds) -> float:
    if bounds.whole:
        return part.integer(name, int(bounds.low), int(bounds.high), int(bounds.low))
    return part.number(name, bounds.low, bounds.high, bounds.low)


def _resolver(top: Fields) -> str:
    return _SYSTEM if top.values.get("resolver", _SYSTEM) == _SYSTEM else top.text("resolver", form("socket"))


def _images(top: Fields) -> tuple[Generation, ...]:
    found: list[Generation] = []
    required, optional = ("generation", "manifest", "sha256"), ("artefacts", "state")
    for part in top.parts("images", required, optional, least=1):
        manifest = part.text("manifest", _PATH)
        generation = Generation(
            number=part.integer("generation", 1, 9999, 1),
            manifest=manifest,
            sha256=part.text("sha256", form("sha256")),
            # Where the bake leaves them: beside the manifest.
            artefacts=part.text("artefacts", _PATH, manifest.rpartition("/")[0] or "."),
            state=part.choice("state", STATES, "serving"),
        )
        if any(generation.number == other.number for other in found):
            part.wrong("generation", f"is {generation.number}, which another image has too")
        found.append(generation)
    if len(found) > MAX_GENERATIONS:
        top.wrong("images", f"has {len(found)} generations, want one, or two during a rollout")
    return tuple(sorted(found, key=_number))


def _number(generation: Generation) -> int:
    return generation.number


def _dns(top: Fields) -> DnsConfig:
    part = top.part("dns", ("zones",), ("ttl", "caa", "health_checks"))
    found: list[ZoneConfig] = []
    for zone in part.parts("zones", ("name", "providers"), ("adopt",), least=1):
        adopt = zone.part("adopt", (), PROVIDERS)
        providers = zone.choices("providers", PROVIDERS)
        for provider in adopt.values:
            if provider not in providers:
                adopt.wrong(provider, "is no provider of this zone")
        entry = ZoneConfig(
            name=zone.text("name", form("name")),
            providers=providers,
            adopt=MappingProxyType(
                {name: adopt.text(name, _ZONE_ID) for name in providers if name in adopt.values}
            ),
        )
        if any(entry.name == other.name for other in found):
            zone.wrong("name", f'is "{entry.name}", which another zone has too')
        found.append(entry)
    return DnsConfig(
        zones=tuple(found),
        ttl=part.integer("ttl", 1, MAX_TTL_S, MAX_TTL_S),
        caa=part.texts("caa", form("name")) if "caa" in part.values else None,
        health_checks=part.flag("health_checks", default=True),
    )


def _least_grade(top: Fields) -> Mapping[str, Grade]:
    part = top.part("least_grade", ROLES)
    return MappingProxyType({role: part.choice(role, GRADES, "H") for role in ROLES if role in part.values})


def _opt_in(top: Fields) -> OptIns:
    part = top.part("opt_in", (), tuple(WEAK_PRODUCTS))
    found: dict[SnpProduct, Mapping[str, str]] = {}
    for product, ids in WEAK_PRODUCTS.items():
        if product in part.values:
            named = part.part(product, (), ids)
            found[product] = {name: named.text(name, _REASON) for name in ids if name in named.values}
    return MappingProxyType(found)
