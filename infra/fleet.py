"""Configuration to plan: every machine, network, image and record by name, before any cloud is asked. Pure.

Names come from the configuration alone, so the plan of one member never depends on another member.
A second generation is a second machine per member: its own name, settings, addresses and records.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from types import MappingProxyType
from typing import Literal

from infra import settings
from infra.capabilities import CloudName, Machine
from infra.config import WHAT, FleetConfig, Generation, Provider
from infra.members import (
    GENERATION_STEP,
    ClientConfig,
    Egress,
    ServerConfig,
    State,
    shifted_address,
    shifted_socket,
)
from infra.records import NamedServers, RecordSpec, plan_records
from runtime.documents.fleet import Role
from runtime.documents.manifest import ImageManifest
from runtime.documents.settings import digest
from runtime.errors import DocumentError, Problem

LOCAL = "local"  # the one stack that needs no cloud and no baked image
HEALTH_PATH = "/readyz"  # what a server answers on the visitors' port for the tunnel name itself
FORMATS: Mapping[CloudName, Literal["raw", "vhd", "gce-tar"]] = MappingProxyType(
    {"aws": "raw", "azure": "vhd", "gcp": "gce-tar"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSpec:
    """One image as it is to be published in one cloud; generations with the same manifest share it."""

    name: str
    cloud: CloudName
    regions: tuple[str, ...]
    version: str
    manifest_sha256: str
    path: str  # of the baked file, below the project's folder; empty: simulated, there is no file
    sha256: str  # of the file
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineSpec:
    """One confidential VM as it is to be launched."""

    name: str  # the member's name: every resource of it is named after it
    renamed_from: str
    role: Role
    machine: Machine
    generation: int
    image: str  # an ImageSpec's name
    state: State
    inbound: tuple[int, ...]  # TCP ports open to everybody; none for a client
    egress: Egress  # a server's is its own address
    listen: tuple[str, ...]  # a server's address literals; empty for a client
    settings: bytes
    settings_sha256: str
    hostnames: tuple[str, ...]
    tags: Mapping[str, str]

    @property
    def public_address(self) -> bool:
        """Tell whether the machine has a static address of its own."""
        return self.egress == "public-ip"

    @property
    def ipv6(self) -> bool:
        """Tell whether the server is to have an IPv6 address as well: it listens on one."""
        return any(":" in address for address in self.listen)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    """The network that a fleet's members share in one region of one cloud."""

    name: str
    cloud: CloudName
    region: str
    public_zones: tuple[str, ...]
    nat_zones: tuple[str, ...]  # where clients reach out through a NAT gateway
    ipv6: bool
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneSpec:
    """One zone at each of its providers, with the records that are in it."""

    name: str
    providers: tuple[Provider, ...]
    adopt: Mapping[Provider, str]
    records: tuple[RecordSpec, ...]
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan:
    """Everything that follows from the configuration and the pinned images."""

    config: FleetConfig
    manifests: Mapping[int, ImageManifest]  # by generation
    machines: tuple[MachineSpec, ...]
    networks: tuple[NetworkSpec, ...]
    images: tuple[ImageSpec, ...]
    zones: tuple[ZoneSpec, ...]  # sub-zones before the zones that delegate to them

    @property
    def records(self) -> tuple[RecordSpec, ...]:
        """Return every record set of every zone."""
        return tuple(record for zone in self.zones for record in zone.records)

    def of_cloud(self, cloud: CloudName) -> tuple[MachineSpec, ...]:
        """Return the machines of one cloud."""
        return tuple(spec for spec in self.machines if spec.machine.cloud == cloud)

    @property
    def clouds(self) -> tuple[CloudName, ...]:
        """Return the clouds that the fleet uses, in a fixed order."""
        return tuple(cloud for cloud in FORMATS if self.of_cloud(cloud))


def plan(config: FleetConfig, manifests: Mapping[int, ImageManifest], stack: str) -> FleetPlan:
    """Return the plan of one stack; `manifests` by generation. Raises: DocumentError (image, settings)."""
    _check_images(config, manifests, stack)
    members: list[ServerConfig | ClientConfig] = [*config.servers, *config.clients]
    machines = tuple(
        _machine(config, generation, member, manifests[generation.number])
        for generation in config.images
        for member in members
    )
    return FleetPlan(
        config=config,
        manifests=MappingProxyType(dict(manifests)),
        machines=machines,
        networks=_networks(config, machines),
        images=_images(config, manifests, machines),
        zones=_zones(config, machines),
    )


def check_manifest_pin(generation: Generation, path: str, data: bytes) -> None:
    """Hold a manifest's bytes against the pinned digest. Raises: DocumentError."""
    found = sha256(data).hexdigest()
    if found != generation.sha256:
        message = f"is {generation.sha256}, {generation.manifest} has {found}"
        raise DocumentError(WHAT, [Problem(f"{path}.sha256", message)])


def member_name(name: str, generation: int) -> str:
    """Return a member's name in a generation; the first has the plain one."""
    return name if generation == 1 or not name else f"{name}-g{generation}"


def _check_images(config: FleetConfig, manifests: Mapping[int, ImageManifest], stack: str) -> None:
    problems: list[Problem] = []
    digests: dict[str, bytes] = {}  # an image's id in the fleet document is its version
    for index, generation in enumerate(config.images):
        manifest, path = manifests[generation.number], f"$.images[{index}].manifest"
        if digests.setdefault(manifest.version, manifest.digest) != manifest.digest:
            message = (
                f"is {manifest.version}, as another generation's other image: bake it as a version of its own"
            )
            problems.append(Problem(path, message))
        variant = f"is the {manifest.variant} image {manifest.version}"
        if stack != LOCAL and manifest.variant != "release":
            problems.append(Problem(path, f'{variant}; the stack "{stack}" wants a release image'))
        elif config.purpose == "production" and manifest.variant != "release":
            problems.append(Problem(path, f'{variant}, which only purpose "test" may use'))
    if problems:
        raise DocumentError(WHAT, problems)


def _state(generation: Generation, member: ServerConfig | ClientConfig) -> State:
    states = (generation.state, member.state)
    return "draining" if "draining" in states else "joining" if "joining" in states else "serving"


def _machine(
    config: FleetConfig,
    generation: Generation,
    member: ServerConfig | ClientConfig,
    manifest: ImageManifest,
) -> MachineSpec:
    copy = _of_generation(generation.number, member)
    data = settings.write(config, copy)
    server = copy if isinstance(copy, ServerConfig) else None
    role: Role = "client" if server is None else "server"
    ports, first = config.ports, config.ports.data
    inbound = (ports.visitors, ports.sessions, *range(first, first + config.workers))
    image = image_name(copy.machine.cloud, manifest)
    return MachineSpec(
        name=copy.name,
        renamed_from=copy.renamed_from,
        role=role,
        machine=copy.machine,
        generation=generation.number,
        image=image,
        state=_state(generation, member),
        inbound=inbound if server is not None else (),
        egress=copy.egress if isinstance(copy, ClientConfig) else "public-ip",
        listen=server.listen if server is not None else (),
        settings=data,
        settings_sha256=digest(data).hex(),
        hostnames=copy.hostnames if isinstance(copy, ClientConfig) else (),
        tags=_tags(
            config, {"tunnel-member": copy.name, "tunnel-role": role, "tunnel-image": short(manifest)}
        ),
    )


def _of_generation(number: int, member: ServerConfig | ClientConfig) -> ServerConfig | ClientConfig:
    """Return the member's copy; where addresses were said, each generation has its own."""
    # From the number alone: when the older generation goes, nothing of the newer one may change.
    steps = GENERATION_STEP * (number - 1)
    name, before = member_name(member.name, number), member_name(member.renamed_from, number)
    admin = shifted_socket(member.admin, steps)
    if isinstance(member, ClientConfig):
        return replace(member, name=name, renamed_from=before, admin=admin)
    listen = tuple(shifted_address(address, steps) for address in member.listen)
    return replace(member, name=name, renamed_from=before, admin=admin, listen=listen)


def _networks(config: FleetConfig, machines: tuple[MachineSpec, ...]) -> tuple[NetworkSpec, ...]:
    places: set[tuple[CloudName, str]] = {(spec.machine.cloud, spec.machine.region) for spec in machines}
    return tuple(_network(config, machines, cloud, region) for cloud, region in sorted(places))


def _network(
    config: FleetConfig, machines: tuple[MachineSpec, ...], cloud: CloudName, region: str
) -> NetworkSpec:
    here = [spec for spec in machines if (spec.machine.cloud, spec.machine.region) == (cloud, region)]
    nat_zones = {spec.machine.zone for spec in here if spec.egress == "nat"}
    return NetworkSpec(
        name=f"{cloud}-{region}",
        cloud=cloud,
        region=region,
        # A NAT gateway stands in a public subnet of the same zone.
        public_zones=tuple(sorted({spec.machine.zone for spec in here if spec.public_address} | nat_zones)),
        nat_zones=tuple(sorted(nat_zones)),
        ipv6=any(spec.ipv6 for spec in here),
        tags=_tags(config, {}),
    )


def image_name(cloud: CloudName, manifest: ImageManifest) -> str:
    """Return an image's name: another manifest is another image, made before the old one goes."""
    return f"{cloud}-image-{manifest.digest.hex()[:12]}"


def short(manifest: ImageManifest) -> str:
    """Return the manifest's digest as a tag holds it: Google's labels end at 63 characters."""
    return manifest.digest.hex()[:40]


def _images(
    config: FleetConfig, manifests: Mapping[int, ImageManifest], machines: tuple[MachineSpec, ...]
) -> tuple[ImageSpec, ...]:
    found: dict[str, ImageSpec] = {}
    for generation in config.images:
        manifest = manifests[generation.number]
        for cloud, kind in FORMATS.items():
            name = image_name(cloud, manifest)
            # Of every generation that boots it: a second one with the same image may be elsewhere.
            regions = tuple(sorted({spec.machine.region for spec in machines if spec.image == name}))
            files = [artefact for artefact in manifest.artefacts if artefact.format == kind]
            if not regions:
                continue
            if not files and manifest.variant != "simulated":
                index = config.images.index(generation)
                message = f"is {generation.manifest}, which has no {kind} file: {cloud} boots nothing else"
                raise DocumentError(WHAT, [Problem(f"$.images[{index}].manifest", message)])
            found[name] = ImageSpec(
                name=name,
                cloud=cloud,
                regions=regions,
                version=manifest.version,
                manifest_sha256=manifest.digest.hex(),
                path=f"{generation.artefacts}/{files[0].file}" if files else "",
                sha256=files[0].sha256.hex() if files else manifest.digest.hex(),
                tags=_tags(config, {"tunnel-image": short(manifest)}),
            )
    return tuple(found[name] for name in sorted(found))


def _zones(config: FleetConfig, machines: tuple[MachineSpec, ...]) -> tuple[ZoneSpec, ...]:
    records = plan_records(
        tunnel_name=config.tunnel_name,
        visitor_name=config.visitor_name,
        sites=config.sites,
        zones=tuple(zone.name for zone in config.dns.zones),
        ttl=config.dns.ttl,
        everyone=_named(machines, ("joining", "serving", "draining")),
        serving=_named(machines, ("serving",)),
        caa=config.dns.caa,
    )
    deepest_first = sorted(config.dns.zones, key=lambda zone: -zone.name.count("."))
    return tuple(
        ZoneSpec(
            name=zone.name,
            providers=zone.providers,
            adopt=zone.adopt,
            records=tuple(record for record in records if record.zone == zone.name),
            tags=_tags(config, {}),
        )
        for zone in deepest_first
    )


def _named(machines: tuple[MachineSpec, ...], states: tuple[State, ...]) -> NamedServers:
    servers = [spec for spec in machines if spec.role == "server" and spec.state in states]
    return NamedServers(
        ipv4=tuple(spec.name for spec in servers),
        ipv6=tuple(spec.name for spec in servers if spec.ipv6),
    )


def _tags(config: FleetConfig, more: dict[str, str]) -> Mapping[str, str]:
    own = {"tunnel-fleet": config.name, "tunnel-environment": config.environment}
    return MappingProxyType({**config.tags, **own, **more})
