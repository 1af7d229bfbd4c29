"""The fleet's configuration, typed: unknown keys refused, every mistake in one list. Pure.

It is the object `tunnel:fleet` of a Pulumi stack file, or the same object in a file of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from infra import capabilities
from infra.capabilities import CloudName, Machine
from infra.fields import Fields, Form, form, open_object
from runtime.documents.fleet import GRADES, Grade, Role
from runtime.documents.reference_values import SnpProduct
from runtime.errors import DocumentError, Problem

WHAT = "configuration"
MAX_TTL_S = 60  # a removed server must be forgotten within a drain
MAX_LIFE_DAYS = 90
ROLES: tuple[Literal["server", "client", "key_receiver"], ...] = ("server", "client", "key_receiver")

Purpose = Literal["production", "test"]
Provider = Literal["route53", "azure_dns", "cloud_dns"]
Egress = Literal["nat", "public-ip"]

_ANY = Form(r"[^\x00-\x1f]+", "a text", 256)
_TAG = Form(r"[a-z][a-z0-9_-]{0,62}", "lower-case letters, digits, _ and - (what all three clouds take)", 63)
_REASON = Form(r"[^\x00-\x1f]{10,500}", "a reason of 10 to 500 characters")
_PATH = Form(r"[^\x00-\x1f]+", "a path", 4096)
_ABSOLUTE = Form(r"/[^\x00-\x1f]*", "an absolute path", 4096)
_SYSTEM = "system"
_ADMIN = "127.0.0.1:9443"
_EVERYWHERE = ("0.0.0.0",)  # noqa: S104 - a tunnel server is public
_REQUIRED = (
    *("name", "environment", "purpose", "owner_keys", "document", "tunnel_name", "sites"),
    *("servers", "clients", "image", "dns", "least_grade"),
)
_MACHINE_KEYS = ("zone", "type", "tee", "admin")


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentConfig:
    """Where the signed fleet document is published, and how long one lives."""

    urls: tuple[str, ...]
    min_version: int
    life_days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The ports of every tunnel server."""

    visitors: int
    sessions: int
    data: int  # worker n takes data + n


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """One tunnel server."""

    name: str
    machine: Machine
    listen: tuple[str, ...]
    admin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """One tunnel client; exactly one of routes_file and routes_urls is not empty."""

    name: str
    machine: Machine
    admin: str
    hostnames: tuple[str, ...]
    egress: Egress
    routes_file: str
    routes_urls: tuple[str, ...]
    reconnect_cap_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """The image that every member boots, pinned by its manifest, and its id in each cloud."""

    manifest: str  # path below the project's folder
    sha256: str
    ids: Mapping[CloudName, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsConfig:
    """The one zone that holds the fleet's names."""

    provider: Provider
    zone: str
    ttl: int  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetConfig:
    """Everything the owner decided about one fleet."""

    name: str
    environment: str
    purpose: Purpose
    owner_keys: tuple[str, ...]  # raw Ed25519 public keys, hex
    document: DocumentConfig
    tunnel_name: str
    sites: tuple[str, ...]
    ports: Ports
    resolver: str
    workers: int
    servers: tuple[ServerConfig, ...]
    clients: tuple[ClientConfig, ...]
    image: ImageConfig
    dns: DnsConfig
    least_grade: Mapping[str, Grade]
    opt_in: Mapping[SnpProduct, str]  # known-weak product -> why it is accepted
    tags: Mapping[str, str]


def parse(raw: object) -> FleetConfig:
    """Return the typed configuration. Raises: DocumentError with every problem."""
    problems: list[Problem] = []
    top = open_object(
        raw,
        "$",
        problems,
        _REQUIRED,
        ("ports", "resolver", "workers", "opt_in", "tags"),
    )
    workers = top.integer("workers", 1, 64, 2)
    config = FleetConfig(
        name=top.text("name", form("label")),
        environment=top.text("environment", form("label")),
        purpose=top.choice("purpose", ("production", "test"), "production"),
        owner_keys=_owner_keys(top),
        document=_document(top),
        tunnel_name=top.text("tunnel_name", form("name")),
        sites=top.texts("sites", form("name"), least=1),
        ports=_ports(top, workers),
        resolver=_resolver(top),
        workers=workers,
        servers=_servers(top),
        clients=_clients(top),
        image=_image(top),
        dns=_dns(top),
        least_grade=_least_grade(top),
        opt_in=_opt_in(top),
        tags=MappingProxyType(top.mapping("tags", _TAG, _TAG)),
    )
    if not problems:
        problems = _contradictions(config)
    if problems:
        raise DocumentError(WHAT, problems)
    return config


def _owner_keys(top: Fields) -> tuple[str, ...]:
    keys = top.texts("owner_keys", form("ed25519"), least=1)
    if len(keys) > 2:
        top.wrong("owner_keys", f"has {len(keys)} keys, want one, or two during a rotation")
    return keys


def _document(top: Fields) -> DocumentConfig:
    part = top.part("document", ("urls", "min_version", "life_days"))
    return DocumentConfig(
        urls=part.texts("urls", form("url"), least=1),
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


def _resolver(top: Fields) -> str:
    return _SYSTEM if top.values.get("resolver", _SYSTEM) == _SYSTEM else top.text("resolver", form("socket"))


def _servers(top: Fields) -> tuple[ServerConfig, ...]:
    return tuple(
        ServerConfig(
            name=part.text("name", form("label")),
            machine=_machine(part),
            listen=part.texts("listen", form("address"), _EVERYWHERE, least=1),
            admin=part.text("admin", form("socket"), _ADMIN),
        )
        for part in top.parts("servers", ("name", "cloud", "region"), (*_MACHINE_KEYS, "listen"), least=1)
    )


def _clients(top: Fields) -> tuple[ClientConfig, ...]:
    found: list[ClientConfig] = []
    required = ("name", "cloud", "region", "hostnames", "egress", "routes")
    for part in top.parts("clients", required, (*_MACHINE_KEYS, "reconnect_cap_s"), least=0):
        routes = part.part("routes", (), ("file", "urls"))
        if ("file" in routes.values) == ("urls" in routes.values) and "routes" in part.values:
            part.wrong("routes", "want exactly one of file and urls")
        client = ClientConfig(
            name=part.text("name", form("label")),
            machine=_machine(part),
            admin=part.text("admin", form("socket"), _ADMIN),
            hostnames=part.texts("hostnames", form("hostname"), least=1),
            egress=part.choice("egress", ("nat", "public-ip"), "nat"),
            routes_file=routes.text("file", _ABSOLUTE),
            routes_urls=routes.texts("urls", form("url"), least=1),
            reconnect_cap_s=part.number("reconnect_cap_s", 0.1, 300, 30),
        )
        found.append(client)
    return tuple(found)


# Stands where a machine was wrong; such a configuration is refused before anybody reads it.
_NO_MACHINE = Machine(cloud="aws", tee="sev-snp", type="", region="", zone="", product=None, grade="T")


def _machine(part: Fields) -> Machine:
    cloud: CloudName = part.choice("cloud", capabilities.CLOUD_NAMES, "aws")
    if part.values.get("cloud") != cloud:
        return _NO_MACHINE
    machine, mistakes = capabilities.choose(
        cloud=cloud,
        region=part.text("region", _ANY),
        zone=part.text("zone", _ANY),
        machine_type=part.text("type", _ANY),
        tee=part.text("tee", _ANY),
    )
    for key, message in mistakes:
        if key != "region" or "region" in part.values:
            part.wrong(key, message)
    return machine or _NO_MACHINE


def _image(top: Fields) -> ImageConfig:
    part = top.part("image", ("manifest", "sha256", "ids"))
    ids = part.part("ids", (), capabilities.CLOUD_NAMES)
    return ImageConfig(
        manifest=part.text("manifest", _PATH),
        sha256=part.text("sha256", form("sha256")),
        ids=MappingProxyType(
            {cloud: ids.text(cloud, _ANY) for cloud in capabilities.CLOUD_NAMES if cloud in ids.values}
        ),
    )


def _dns(top: Fields) -> DnsConfig:
    part = top.part("dns", ("provider", "zone"), ("ttl",))
    return DnsConfig(
        provider=part.choice("provider", ("route53", "azure_dns", "cloud_dns"), "route53"),
        zone=part.text("zone", form("name")),
        ttl=part.integer("ttl", 1, MAX_TTL_S, MAX_TTL_S),
    )


def _least_grade(top: Fields) -> Mapping[str, Grade]:
    part = top.part("least_grade", ROLES)
    return MappingProxyType({role: part.choice(role, GRADES, "H") for role in ROLES if role in part.values})


def _opt_in(top: Fields) -> Mapping[SnpProduct, str]:
    part = top.part("opt_in", (), ("Milan",))
    return MappingProxyType({"Milan": part.text("Milan", _REASON)} if part.values else {})


def _contradictions(config: FleetConfig) -> list[Problem]:
    """Return what is wrong between parts that are each well-formed."""
    return [
        *_names(config),
        *_hostnames(config),
        *_machines(config),
        *_weak_products(config),
        *_purpose(config),
    ]


def _members(config: FleetConfig) -> list[tuple[Role, str, ServerConfig | ClientConfig]]:
    """Return each member with its role and its place."""
    found: list[tuple[Role, str, ServerConfig | ClientConfig]] = []
    for index, server in enumerate(config.servers):
        found.append(("server", f"$.servers[{index}]", server))
    for index, client in enumerate(config.clients):
        found.append(("client", f"$.clients[{index}]", client))
    return found


def _names(config: FleetConfig) -> list[Problem]:
    seen: dict[str, str] = {}
    problems: list[Problem] = []
    for _, path, member in _members(config):
        if member.name in seen:
            problems.append(
                Problem(f"{path}.name", f'is "{member.name}", the name of {seen[member.name]} too')
            )
        seen.setdefault(member.name, path)
    return problems


def _hostnames(config: FleetConfig) -> list[Problem]:
    zone, problems = config.dns.zone, []
    names = [("$.tunnel_name", config.tunnel_name)]
    names += [(f"$.sites[{index}]", site) for index, site in enumerate(config.sites)]
    problems = [
        Problem(path, f'is "{name}", which is not in the zone "{zone}"')
        for path, name in names
        if name != zone and not name.endswith("." + zone)
    ]
    if config.tunnel_name in config.sites:
        problems.append(Problem("$.tunnel_name", "is a site too: the servers answer it themselves"))
    granted = {name for client in config.clients for name in client.hostnames}
    problems += [
        Problem(f"$.sites[{index}]", f'is "{site}", which no client may publish')
        for index, site in enumerate(config.sites)
        if config.clients and site not in granted and "*." + site.partition(".")[2] not in granted
    ]
    return problems + [
        Problem(
            f"$.clients[{index}].hostnames",
            f'has "{name}", want it in $.sites: no record leads visitors to it',
        )
        for index, client in enumerate(config.clients)
        for name in client.hostnames
        if not name.startswith("*.") and name not in config.sites
    ]


def _machines(config: FleetConfig) -> list[Problem]:
    problems: list[Problem] = []
    for role, path, member in _members(config):
        machine, least = member.machine, config.least_grade[role]
        if GRADES.index(machine.grade) > GRADES.index(least):
            reached = f"reaches grade {machine.grade} on {machine.cloud} {machine.tee}"
            problems.append(Problem(path, f"{reached}, want {least} at least"))
        if machine.cloud not in config.image.ids:
            message = f'has no id for {machine.cloud}, where "{member.name}" runs'
            problems.append(Problem("$.image.ids", message))
    regions = sorted(
        {member.machine.region for _, _, member in _members(config) if member.machine.cloud == "aws"}
    )
    if len(regions) > 1:
        message = f"is one region's image, the members run in {' and '.join(regions)}"
        problems.append(Problem("$.image.ids.aws", message))
    return problems


def _weak_products(config: FleetConfig) -> list[Problem]:
    weak = sorted(member.name for _, _, member in _members(config) if member.machine.product == "Milan")
    if not weak or "Milan" in config.opt_in:
        return []
    # arXiv 2605.12990: whoever has a chip's seed makes valid reports of any firmware version.
    why = "software alone can extract a Milan chip's root seed, whose reports then prove nothing"
    message = f"is missing, a reason is wanted for {', '.join(weak)}: {why}"
    return [Problem("$.opt_in.Milan", message)]


def _purpose(config: FleetConfig) -> list[Problem]:
    if config.purpose == "test":
        return []
    return [
        Problem(f"$.least_grade.{role}", 'is "T", which only purpose "test" may ask for')
        for role, grade in config.least_grade.items()
        if grade == "T"
    ]
