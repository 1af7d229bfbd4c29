"""The fleet of two machines under QEMU: settings, a test document, and what they fetch. I/O."""

from __future__ import annotations

import io
import json
import tarfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from runtime.documents import dsse, settings, strict_json, times
from runtime.documents import manifest as manifest_document
from tests.vm.machine import free_port

HOST = "10.0.2.2"  # QEMU's user network: the host's loopback
TUNNEL, SITE = "tunnel.demo.test", "app.demo.test"
PAGE = b"<h1>served from inside a client VM</h1>\n"
BUNDLE_PORT = 8081
# An emulated processor is thirty times slower than a real one: everything that is waited for may take longer.
PATIENT: dict[str, int] = {
    "hello_s": 60,
    "own_visitor_s": 60,
    "dial_s": 60,
    "tls_s": 60,
    "join_s": 60,
    "data_dial_s": 60,
    "session_dial_s": 60,
    "session_tls_s": 60,
    "message_s": 120,
    "collect_s": 120,
    "send_s": 60,
    "appraisal_s": 60,
    "worker_start_s": 300,
    "worker_take_s": 60,
    "worker_silent_s": 60,
    "worker_lag_s": 30,
}


def bundle() -> bytes:
    """A site of one page."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        entry = tarfile.TarInfo("index.html")
        entry.size = len(PAGE)
        archive.addfile(entry, io.BytesIO(PAGE))
    return out.getvalue()


class Publisher:
    """Serves documents and the bundle on loopback, where the machines reach them as 10.0.2.2."""

    def __init__(self) -> None:
        files: dict[str, bytes] = {}
        self.files = files

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                data = files.get(self.path)
                self.send_response(200 if data is not None else 404)
                self.send_header("Content-Length", str(len(data or b"")))
                self.end_headers()
                self.wfile.write(data or b"")

            def log_message(self, format: str, *args: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.1})
        self.thread.start()

    def url(self, path: str) -> str:
        """Where a machine finds `path`."""
        return f"http://{HOST}:{self.server.server_port}{path}"

    def close(self) -> None:
        """End it."""
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """Settings of the two members, their ports on the host, and the owner's key."""

    server: bytes
    client: bytes
    ports: tuple[int, int, int]  # visitors, sessions, data: the same outside and inside
    owner: Ed25519PrivateKey

    @property
    def owner_public(self) -> bytes:
        """The raw public key."""
        return self.owner.public_key().public_bytes_raw()


def make(publisher: Publisher, resolver_port: int) -> Fleet:
    """Make settings; the client's name a bundle that the publisher serves."""
    owner = Ed25519PrivateKey.generate()
    visitors, sessions, data = ports = (free_port(), free_port(), free_port())
    site = bundle()
    publisher.files["/bundle.tar.gz"] = site
    common: dict[str, Any] = {
        "schema": "tunnel-settings/1",
        "fleet": "demo",
        "owner_keys": [owner.public_key().public_bytes_raw().hex()],
        "document": {"urls": [publisher.url("/fleet.json")], "min_version": 1},
        "tunnel_name": TUNNEL,
        "resolver": f"{HOST}:{resolver_port}",
        "admin": "127.0.0.1:9443",
        "limits": PATIENT,
    }
    server = common | {
        "member": "server-1",
        "role": "server",
        "server": {
            "listen": ["0.0.0.0"],
            "visitors_port": visitors,
            "sessions_port": sessions,
            "data_port": data,
            "workers": 1,
        },
    }
    client = common | {
        "member": "client-1",
        "role": "client",
        "client": {
            "sessions_port": sessions,
            "reconnect_cap_s": 2,
            "routes": {"urls": [publisher.url("/routes.json")]},
            "bundle": {
                "urls": [publisher.url("/bundle.tar.gz")],
                "sha256": sha256(site).hexdigest(),
                "port": BUNDLE_PORT,
            },
        },
    }
    routes = {
        "schema": "tunnel-routes/1",
        "version": 1,
        "routes": [
            {"hostname": SITE, "service": f"http://127.0.0.1:{BUNDLE_PORT}", "certificate": "at_boot"}
        ],
    }
    publisher.files["/routes.json"] = dsse.sign(json.dumps(routes).encode(), dsse.ROUTES_TYPE, owner)
    written = [strict_json.canonical(body) for body in (server, client)]
    for body in written:
        settings.read(body)
    return Fleet(server=written[0], client=written[1], ports=ports, owner=owner)


def document(
    fleet: Fleet, manifest: Path, pcr7: str, keys: Mapping[str, str], **changes: object
) -> dict[str, Any]:
    """Return the test document: the image from its manifest, members by settings digest and TPM key name."""
    data = manifest.read_bytes()
    image = manifest_document.read(data)
    now = int(time.time()) - 60
    registers = ("pcr4_sha256", "pcr11_sha256", "pcr4_sha384", "pcr11_sha384")
    later = times.show(now + 80 * times.DAY_S)
    return {
        "schema": "tunnel-fleet/1",
        "fleet": "demo",
        "version": 1,
        "purpose": "test",
        "issued_at": times.show(now),
        "expires_at": later,
        "tunnel_name": TUNNEL,
        "least_grade": {"server": "T", "client": "T", "key_receiver": "T"},
        "images": [
            {
                "id": image.version,
                "manifest_sha256": image.digest.hex(),
                "not_after": later,
                "measurements": {name: image.measurements[name].hex() for name in registers},
            }
        ],
        "firmware": [
            {
                "name": "OVMF of this machine, Secure Boot off",
                "format": "qemu-tpm",
                "register": "pcr7_sha256",
                "value": pcr7,
                "not_after": later,
            }
        ],
        "reference_values": {"qemu-tpm": {"qemu": {"event_log": "required"}}},
        "members": [
            {
                "name": name,
                "role": role,
                "settings_sha256": sha256(body).hexdigest(),
                "instance": {"kind": "tpm_ak_name", "value": keys[name]},
                "hostnames": [SITE] if role == "client" else [],
            }
            for name, role, body in (
                ("server-1", "server", fleet.server),
                ("client-1", "client", fleet.client),
            )
        ],
        "waivers": [],
    } | changes
