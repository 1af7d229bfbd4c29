"""frp 0.52 or newer (TOML settings), found on PATH: TLS both ways checked, multiplexed. I/O."""

from __future__ import annotations

import shutil
from pathlib import Path

from bench.machine import Processes, free_port, output, wait_for_port
from bench.material import HOST, Material
from bench.systems.model import Running, System

_SERVER = """\
bindAddr = "127.0.0.1"
bindPort = {port}
proxyBindAddr = "127.0.0.1"
log.level = "error"
transport.tcpMux = true
transport.tls.force = true
transport.tls.certFile = "{certificate}"
transport.tls.keyFile = "{key}"
transport.tls.trustedCaFile = "{trusted}"
"""

_CLIENT = """\
serverAddr = "127.0.0.1"
serverPort = {port}
log.level = "error"
transport.tcpMux = true
transport.tls.enable = true
transport.tls.serverName = "{host}"
transport.tls.certFile = "{certificate}"
transport.tls.keyFile = "{key}"
transport.tls.trustedCaFile = "{trusted}"
[[proxies]]
name = "bench"
type = "tcp"
localIP = "127.0.0.1"
localPort = {origin}
remotePort = {visitors}
"""


def _missing() -> str | None:
    if shutil.which("frps") is None or shutil.which("frpc") is None:
        return "put frps and frpc on PATH"
    return None


def _files(material: Material, own: str, peer: str) -> dict[str, Path]:
    return {
        "certificate": material.certificate(own),
        "key": material.key(own),
        "trusted": material.certificate(peer),
    }


def _start(processes: Processes, material: Material, origin: int) -> Running:
    folder = material.part("frp.d")
    port, visitors = free_port(), free_port()
    (folder / "frps.toml").write_text(_SERVER.format(port=port, **_files(material, "server", "client")))
    (folder / "frpc.toml").write_text(
        _CLIENT.format(
            port=port, host=HOST, origin=origin, visitors=visitors, **_files(material, "client", "server")
        )
    )
    server = processes.start("frps", ["frps", "-c", str(folder / "frps.toml")])
    wait_for_port(port, server)
    client = processes.start("frpc", ["frpc", "-c", str(folder / "frpc.toml")])
    wait_for_port(visitors, client)
    return Running(port=visitors, server=server.pid, client=client.pid)


FRP = System(
    name="frp", missing=_missing, version=lambda: output(["frps", "--version"]).strip(), start=_start
)
