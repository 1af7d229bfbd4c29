"""The unsigned fleet document of a plan; what only `up` tells stays what the caller gave. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from infra.capabilities import CloudName
from infra.fleet import FleetPlan
from infra.reference_values import reference_values
from runtime.documents import times
from runtime.documents.manifest import ImageManifest

INSTANCE_KINDS: Mapping[CloudName, str] = MappingProxyType(
    {"aws": "aws_instance_id", "azure": "azure_vm_unique_id", "gcp": "gcp_instance_id"}
)
_REGISTERS = ("pcr4_sha256", "pcr11_sha256", "pcr4_sha384", "pcr11_sha384")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dates:
    """When a document is from, and when it ends: as the document spells them, or yet unknown."""

    issued_at: Any
    expires_at: Any


def dates(issued_at: int, life_days: int) -> Dates:
    """Return the dates of a document that is issued then."""
    return Dates(issued_at=times.show(issued_at), expires_at=times.show(issued_at + life_days * times.DAY_S))


def document(plan: FleetPlan, instances: Mapping[str, Any], when: Dates) -> dict[str, Any]:
    """Return the unsigned fleet document; `instances` is each member's instance id at its cloud."""
    config = plan.config
    machines = [spec.machine for spec in plan.machines]
    manifests = list({manifest.digest: manifest for manifest in plan.manifests.values()}.values())
    simulated = any(manifest.variant == "simulated" for manifest in manifests)
    return {
        "schema": "tunnel-fleet/1",
        "fleet": config.name,
        "version": config.document.min_version,
        "purpose": config.purpose,
        "issued_at": when.issued_at,
        "expires_at": when.expires_at,
        "tunnel_name": config.tunnel_name,
        "least_grade": dict(config.least_grade),
        "images": [_image(manifest, when) for manifest in manifests],
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


def _image(manifest: ImageManifest, when: Dates) -> dict[str, Any]:
    return {
        "id": manifest.version,
        "manifest_sha256": manifest.digest.hex(),
        "not_after": when.expires_at,
        "measurements": {
            name: manifest.measurements[name].hex() for name in _REGISTERS if name in manifest.measurements
        },
    }
