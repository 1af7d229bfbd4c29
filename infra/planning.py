"""From a stack's raw configuration to its plan: the one place that reads the pinned manifests. I/O."""

from __future__ import annotations

from pathlib import Path

from infra import config, fleet
from runtime.documents import manifest
from runtime.documents.manifest import ImageManifest
from runtime.errors import DocumentError, Problem

ROOT = Path(__file__).resolve().parent.parent  # where Pulumi.yaml is
PROJECT = "confidential-tunnels"


def load(raw: object, stack: str) -> fleet.FleetPlan:
    """Return the plan of a stack. Raises: DocumentError with every problem."""
    parsed = config.parse(raw)
    manifests: dict[int, ImageManifest] = {}
    for index, generation in enumerate(parsed.images):
        path = f"$.images[{index}]"
        try:
            data = (ROOT / generation.manifest).read_bytes()
        except OSError as error:
            message = f"is {generation.manifest}, which cannot be read: {error.strerror}"
            raise DocumentError(config.WHAT, [Problem(f"{path}.manifest", message)]) from error
        fleet.check_manifest_pin(generation, path, data)
        manifests[generation.number] = manifest.read(data)
    return fleet.plan(parsed, manifests, stack)
