"""From a stack's raw configuration to its plan: the one place that reads the pinned manifest. I/O."""

from __future__ import annotations

from pathlib import Path

from infra import config, fleet
from runtime.documents import manifest
from runtime.errors import DocumentError, Problem

ROOT = Path(__file__).resolve().parent.parent  # where Pulumi.yaml is
PROJECT = "confidential-tunnels"


def load(raw: object, stack: str) -> fleet.FleetPlan:
    """Return the plan of a stack. Raises: DocumentError with every problem."""
    parsed = config.parse(raw)
    path = ROOT / parsed.image.manifest
    try:
        data = path.read_bytes()
    except OSError as error:
        problem = Problem(
            "$.image.manifest", f"is {parsed.image.manifest}, which cannot be read: {error.strerror}"
        )
        raise DocumentError(config.WHAT, [problem]) from error
    fleet.check_manifest_pin(parsed, data)
    return fleet.plan(parsed, manifest.read(data), stack)
