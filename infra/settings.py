"""Write the boot settings of one member: exactly what `runtime.documents.settings` reads. Pure.

One writer and one spelling: the digest of these bytes is the member's name to its peers.
"""

from __future__ import annotations

from typing import Any

from infra.config import FleetConfig
from infra.members import ClientConfig, ServerConfig
from runtime.documents import settings, strict_json


def write(config: FleetConfig, member: ServerConfig | ClientConfig) -> bytes:
    """Return the member's settings bytes, read back once. Raises: DocumentError."""
    body: dict[str, Any] = {
        "schema": "tunnel-settings/1",
        "fleet": config.name,
        "member": member.name,
        "owner_keys": list(config.owner_keys),
        "document": {"urls": list(config.document.urls), "min_version": config.document.min_version},
        "tunnel_name": config.tunnel_name,
        "resolver": config.resolver,
        "admin": member.admin,
    }
    if config.document.endorsements:
        body["document"]["endorsements"] = list(config.document.endorsements)
    if config.limits:
        body["limits"] = dict(config.limits)
    if isinstance(member, ServerConfig):
        server: dict[str, Any] = {
            "listen": list(member.listen),
            "visitors_port": config.ports.visitors,
            "sessions_port": config.ports.sessions,
            "data_port": config.ports.data,
            "workers": config.workers,
        }
        if config.access_log != "none":
            server["access_log"] = config.access_log
        body |= {"role": "server", "server": server}
    else:
        client: dict[str, Any] = {
            "sessions_port": config.ports.sessions,
            "reconnect_cap_s": member.reconnect_cap_s,
            "routes": {"file": member.routes_file}
            if member.routes_file
            else {"urls": list(member.routes_urls)},
        }
        if member.bundle is not None:
            bundle = member.bundle
            client["bundle"] = {"urls": list(bundle.urls), "sha256": bundle.sha256, "port": bundle.port}
        if config.access_log != "none":
            client["access_log"] = "streams"
        body |= {"role": "client", "client": client}
    data = strict_json.canonical(body)
    settings.read(data)  # a VM that cannot read its settings would be found out after it booted
    return data
