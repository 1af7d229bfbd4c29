"""The fleet of two machines under QEMU: what the Pulumi program makes for them, and what they fetch. I/O."""

from __future__ import annotations

import copy
import io
import json
import subprocess
import sys
import tarfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from runtime.documents import dsse, strict_json
from tests.vm.machine import free_port

PROJECT = Path(__file__).resolve().parents[2]
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
    """What the Pulumi program made for the two members, their ports on the host, and the owner's key."""

    server: bytes  # settings, byte for byte what a cloud would hand the machine as user data
    client: bytes
    draft: dict[str, Any]  # the unsigned fleet document
    ports: tuple[int, int, int]  # visitors, sessions, data: the same outside and inside
    owner: Ed25519PrivateKey

    @property
    def owner_public(self) -> bytes:
        """The raw public key."""
        return self.owner.public_key().public_bytes_raw()


def make(publisher: Publisher, resolver_port: int, image: Path, folder: Path) -> Fleet:
    """Run the Pulumi program, in local mock mode, for two machines that boot this image."""
    owner = Ed25519PrivateKey.generate()
    ports = (free_port(), free_port(), free_port())
    publisher.files["/bundle.tar.gz"] = bundle()
    routes = {
        "schema": "tunnel-routes/1",
        "version": 1,
        "routes": [
            {"hostname": SITE, "service": f"http://127.0.0.1:{BUNDLE_PORT}", "certificate": "at_boot"}
        ],
    }
    publisher.files["/routes.json"] = dsse.sign(json.dumps(routes).encode(), dsse.ROUTES_TYPE, owner)
    wanted = configuration(publisher, resolver_port, owner, ports, image)
    folder.mkdir(parents=True)
    (folder / "fleet-config.json").write_bytes(strict_json.canonical(wanted))
    up = folder / "up"
    command = [
        sys.executable, "-m", "infra.cli", "simulate", "--stack", "local",
        "--config", str(folder / "fleet-config.json"), "--out", str(up),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"tunnel-fleet simulate ended with {done.returncode}:\n{done.stderr[-3000:]}"
    return Fleet(
        server=(up / "settings/server-1.json").read_bytes(),
        client=(up / "settings/client-1.json").read_bytes(),
        draft=json.loads((up / "outputs.json").read_bytes())["fleetDocument"],
        ports=ports,
        owner=owner,
    )


def configuration(
    publisher: Publisher,
    resolver_port: int,
    owner: Ed25519PrivateKey,
    ports: tuple[int, int, int],
    image: Path,
) -> dict[str, Any]:
    """Return what an owner would write into Pulumi.<stack>.yaml for this host and this image."""
    visitors, sessions, data = ports
    manifest = image / "image-manifest.json"
    return {
        "name": "demo",
        "environment": "local",
        "purpose": "test",
        "owner_keys": [owner.public_key().public_bytes_raw().hex()],
        "document": {"urls": [publisher.url("/fleet.json")], "min_version": 1, "life_days": 80},
        "tunnel_name": TUNNEL,
        "visitor_name": "visitors.demo.test",
        "sites": [SITE],
        "ports": {"visitors": visitors, "sessions": sessions, "data": data},
        "resolver": f"{HOST}:{resolver_port}",
        "workers": 1,
        "limits": PATIENT,
        "servers": [{"name": "server-1", "cloud": "gcp", "region": "europe-west4", "listen": ["0.0.0.0"]}],
        "clients": [
            {
                "name": "client-1",
                "cloud": "gcp",
                "region": "europe-west4",
                "hostnames": [SITE],
                "egress": "nat",
                "routes": {"urls": [publisher.url("/routes.json")]},
                "reconnect_cap_s": 2,
                "bundle": {
                    "urls": [publisher.url("/bundle.tar.gz")],
                    "sha256": sha256(publisher.files["/bundle.tar.gz"]).hexdigest(),
                    "port": BUNDLE_PORT,
                },
            }
        ],
        "images": [
            {
                "generation": 1,
                "manifest": str(manifest),
                "sha256": sha256(manifest.read_bytes()).hexdigest(),
            }
        ],
        "dns": {"zones": [{"name": "demo.test", "providers": ["route53"]}], "ttl": 5},
        "least_grade": {"server": "T", "client": "T", "key_receiver": "T"},
    }


def publish(publisher: Publisher, fleet: Fleet, document: dict[str, Any]) -> None:
    """Sign a document and put it where the settings' URLs point."""
    payload = strict_json.canonical(document)
    publisher.files["/fleet.json"] = dsse.sign(payload, dsse.FLEET_TYPE, fleet.owner)


def enrol(fleet: Fleet, pcr7: str, keys: Mapping[str, str]) -> dict[str, Any]:
    """Return the program's document with the one edit of an enrolment.

    What only a machine can tell: its firmware's PCR7, the name of its TPM's key (`keys`, by member), and
    that it is QEMU and not the cloud of the plan. Settings, image, dates and grants stay the program's.
    """
    document = copy.deepcopy(fleet.draft)
    document["firmware"] = [
        {
            "name": "OVMF of this machine, Secure Boot off",
            "format": "qemu-tpm",
            "register": "pcr7_sha256",
            "value": pcr7,
            "not_after": document["expires_at"],
        }
    ]
    document["reference_values"] = {"qemu-tpm": {"qemu": {"event_log": "required"}}}
    for member in document["members"]:
        member["instance"] = {"kind": "tpm_ak_name", "value": keys[member["name"]]}
    return document
