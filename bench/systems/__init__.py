"""What is compared: each system takes visitors' TLS on a loopback port and brings it to the same origin."""

from __future__ import annotations

from bench.systems.direct import DIRECT
from bench.systems.frp import FRP
from bench.systems.model import Running, System
from bench.systems.nginx_stream import NGINX_STREAM
from bench.systems.ours import OURS, OURS_ASYNCIO
from bench.systems.ssh_reverse import SSH_REVERSE

SYSTEMS: tuple[System, ...] = (OURS, OURS_ASYNCIO, NGINX_STREAM, FRP, SSH_REVERSE, DIRECT)

__all__ = ["SYSTEMS", "Running", "System"]
