"""Configuration to plan: every machine, network and record by name, before any cloud is asked. Pure.

Names come from the configuration alone, so the plan of one member never depends on another member.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Literal

from infra import settings
from infra.capabilities import CloudName, Machine
from infra.config import WHAT, ClientConfig, Egress, FleetConfig, ServerConfig
from infra.records import RecordSpec, plan_records
from infra.reference_values import reference_values
from runtime.documents import times
from runtime.documents.fleet import Role
from runtime.documents.manifest import ImageManifest
from runtime.documents.settings import digest
from runtime.errors import DocumentError, Problem

LOCAL = "local"  # the one stack that needs no cloud and no baked image
INSTANCE_KINDS: Mapping[CloudName, str] = MappingProxyType(
    {"aws": "aws_instance_id", "azure": "azure_vm_unique_id", "gcp": "gcp_instance_id"}
)
_REGISTERS = ("pcr4_sha256", "pcr11_sha256", "pcr4_sha384", "pcr11_sha384")


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineSpec:
    """One confidential VM as it is to be launched."""

    name: str  # the member's name: every resource of it is named after it
    role: Role
    machine: Machine
    image_id: str
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
class FleetPlan:
    """Everything that follows from the configuration and the pinned image."""

    config: FleetConfig
    manifest: ImageManifest
    machines: tuple[MachineSpec, ...]
    networks: tuple[NetworkSpec, ...]
    records: tuple[RecordSpec, ...]

    def of_cloud(self, cloud: CloudName) -> tuple[MachineSpec, ...]:
        """Return the machines of one cloud."""
        return tuple(spec for spec in self.machines if spec.machine.cloud == cloud)

    @property
    def clouds(self) -> tuple[CloudName, ...]:
        """Return the clouds that the fleet uses, in a fixed order."""
        return tuple(cloud for cloud in INSTANCE_KINDS if self.of_cloud(cloud))


def plan(config: FleetConfig, manifest: ImageManifest, stack: str) -> FleetPlan:
    """Return the plan of one stack. Raises: DocumentError (image, settings)."""
    _check_image(config, manifest, stack)
    members: list[ServerConfig | ClientConfig] = [*config.servers, *config.clients]
    machines = tuple(_machine(config, member) for member in members)
    return FleetPlan(
        config=config,
        manifest=manifest,
        machines=machines,
        networks=_networks(config, machines),
        records=plan_records(
            tunnel_name=config.tunnel_name,
            sites=config.sites,
            ttl=config.dns.ttl,
            servers=tuple(spec.name for spec in machines if spec.role == "server"),
            ipv6_servers=tuple(spec.name for spec in machines if spec.ipv6),
        ),
    )


def document(plan: FleetPlan, instances: Mapping[str, str], issued_at: int) -> dict[str, Any]:
    """Return the unsigned fleet document; `instances` is each member's instance id at its cloud."""
    config, manifest = plan.config, plan.manifest
    expires_at = times.show(issued_at + config.document.life_days * times.DAY_S)
    machines = [spec.machine for spec in plan.machines]
    simulated = manifest.variant == "simulated"
    return {
        "schema": "tunnel-fleet/1",
        "fleet": config.name,
        "version": config.document.min_version,
        "purpose": config.purpose,
        "issued_at": times.show(issued_at),
        "expires_at": expires_at,
        "tunnel_name": config.tunnel_name,
        "least_grade": dict(config.least_grade),
        "images": [
            {
                "id": manifest.version,
                "manifest_sha256": manifest.digest.hex(),
                "not_after": expires_at,
                "measurements": {
                    name: manifest.measurements[name].hex()
                    for name in _REGISTERS
                    if name in manifest.measurements
                },
            }
        ],
        "firmware": [],
        "reference_values": reference_values(machines, config.opt_in, simulated=simulated),
        "members": [
            {
                "name": spec.name,
                "role": spec.role,
                "settings_sha256": spec.settings_sha256,
                "instance": {"kind": INSTANCE_KINDS[spec.machine.cloud], "value": instances[spec.name]},
                "hostnames": list(spec.hostnames),
            }
            for spec in plan.machines
        ],
        "waivers": [],
    }


def check_manifest_pin(config: FleetConfig, data: bytes) -> None:
    """Hold the manifest's bytes against the pinned digest. Raises: DocumentError."""
    found = sha256(data).hexdigest()
    if found != config.image.sha256:
        message = f"is {config.image.sha256}, {config.image.manifest} has {found}"
        raise DocumentError(WHAT, [Problem("$.image.sha256", message)])


def _check_image(config: FleetConfig, manifest: ImageManifest, stack: str) -> None:
    problems: list[Problem] = []
    variant = f"is the {manifest.variant} image {manifest.version}"
    if stack != LOCAL and manifest.variant != "release":
        problems.append(Problem("$.image.manifest", f'{variant}; the stack "{stack}" wants a release image'))
    elif config.purpose == "production" and manifest.variant != "release":
        problems.append(Problem("$.image.manifest", f'{variant}, which only purpose "test" may use'))
    if problems:
        raise DocumentError(WHAT, problems)


def _machine(config: FleetConfig, member: ServerConfig | ClientConfig) -> MachineSpec:
    data = settings.write(config, member)
    role: Role = "server" if isinstance(member, ServerConfig) else "client"
    egress: Literal["nat", "public-ip"] = "public-ip" if isinstance(member, ServerConfig) else member.egress
    ports = config.ports
    first = ports.data
    inbound = (ports.visitors, ports.sessions, *range(first, first + config.workers))
    return MachineSpec(
        name=member.name,
        role=role,
        machine=member.machine,
        image_id=config.image.ids[member.machine.cloud],
        inbound=inbound if role == "server" else (),
        egress=egress,
        listen=member.listen if isinstance(member, ServerConfig) else (),
        settings=data,
        settings_sha256=digest(data).hex(),
        hostnames=member.hostnames if isinstance(member, ClientConfig) else (),
        tags=_tags(config, {"tunnel-member": member.name, "tunnel-role": role}),
    )


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


def _tags(config: FleetConfig, more: dict[str, str]) -> Mapping[str, str]:
    own = {"tunnel-fleet": config.name, "tunnel-environment": config.environment}
    return MappingProxyType({**config.tags, **own, **more})
