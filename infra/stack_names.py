"""What stacks are called and what of a fleet each holds. Pure."""

from __future__ import annotations

from infra import capabilities
from infra.capabilities import CloudName

CONFIG = "tunnel"  # the configuration's namespace: tunnel:role, tunnel:fleet, tunnel:protect
ALL, DNS = "all", "dns"
ROLES = (*capabilities.CLOUD_NAMES, DNS, ALL)


def cloud_stack(cloud: CloudName, environment: str) -> str:
    """Return the name of the stack that holds one cloud's machines."""
    return f"{cloud}-{environment}"
