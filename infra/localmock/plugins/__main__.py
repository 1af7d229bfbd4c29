"""`python -m infra.localmock.plugins aws`: serve one cloud's stand-in until the engine ends. I/O."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc  # type: ignore[import-untyped]  # publishes no types
from pulumi.runtime.proto import provider_pb2_grpc

from infra.localmock.plugins.provider import Provider
from infra.localmock.plugins.world import World

FOLDER = "TUNNEL_LOCAL_CLOUD"  # the folder of the simulated clouds; `localmock.real_engine` sets it
_LARGEST = 64 << 20  # bytes of one message, as the engine's own limit is 400 MiB


def main() -> int:
    """Print the port, as the engine expects of a plugin, and serve."""
    package = sys.argv[1]
    folder = os.environ.get(FOLDER, "")
    if not folder:
        sys.stderr.write(f"{FOLDER} is not set: this stand-in is started by `make up-local` only\n")
        return 2
    version = importlib.metadata.version(f"pulumi-{package}")
    server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.max_receive_message_length", _LARGEST)])
    provider = Provider(package, version, World(Path(folder)), os.environ.get("PULUMI_BACKEND_URL", ""))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    engine = os.getppid()
    while os.getppid() == engine:  # a killed engine tells nobody
        server.wait_for_termination(timeout=1.0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
