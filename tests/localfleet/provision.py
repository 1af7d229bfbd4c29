"""From nothing to a signed, published fleet document: the way of design, the tools of production. I/O.

owner key → configuration → preview → `up`, the engine's or simulated → enrolment → sign → publish.
Everything that the members boot with comes out of the Pulumi program; only the enrolment is ours (`enrol`).
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha384
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # PyYAML ships no types

from runtime.documents import strict_json
from runtime.documents.reference_values import SnpProduct
from tests.fakes import snp_report
from tests.fakes.amd import FakeAmd
from tests.localfleet import enrol
from tests.localfleet.member import Simulation

TUNNEL_NAME = "tunnel.demo.test"
SITE = "app.demo.test"
SERVERS = {"aws-1": "127.0.0.11", "azure-1": "127.0.0.12", "gcp-1": "127.0.0.13"}
CLIENTS = ("client-1", "client-2")
RECONNECT_CAP_S = 3
TTL_S = 5  # so that a change of records is seen while one watches
PROJECT = Path(__file__).resolve().parents[2]
_CHIPS: dict[str, SnpProduct] = {
    "aws-1": "Milan",
    "azure-1": "Genoa",
    "gcp-1": "Turin",
    "client-1": "Turin",
    "client-2": "Genoa",
}

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Ports of the neighbours on 127.0.0.1, and of every server on its own address."""

    dns: int
    publisher: int
    visitors: int
    sessions: int
    data: int
    admin: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisioned:
    """A fleet ready to start."""

    folder: Path
    ports: Ports
    owner_key: str  # hex
    records: list[dict[str, Any]]
    settings: dict[str, Path]
    simulations: dict[str, Path]
    envelope: Path
    tree: str
    edit: list[str]


def free_ports() -> Ports:
    """Choose ports that nobody listens on, the documented ones first."""
    names = [*SERVERS, *CLIENTS]
    picked = _free(len(names) + 2, "127.0.0.1")
    visitors, sessions, data = (free_on_all(port) for port in (8443, 7443, 7444))
    return Ports(
        dns=picked[0],
        publisher=picked[1],
        visitors=visitors,
        sessions=sessions,
        data=data,
        admin=dict(zip(names, picked[2:], strict=True)),
    )


async def provision(folder: Path, ports: Ports, say: Say, show: Say) -> Provisioned:
    """Do all of it; `say` takes progress, `show` the answers."""
    say("owner key: tunnel-fleet key new")
    owner_key = folder / "owner.key"
    key = (await fleet_command("key", "new", "--out", str(owner_key))).split()[-1]
    config = folder / "fleet-config.json"
    config.write_bytes(strict_json.canonical(configuration(folder, ports, key)))
    up = folder / "up"
    tree = await _up(folder, config, up, say)
    show(tree)
    outputs = json.loads((up / "outputs.json").read_text("utf-8"))
    say("simulated tees: a throw-away AMD root and one chip per member")
    publish = folder / "publish"
    publish.mkdir()
    simulations, draft, edit = _enrol(folder, outputs["fleetDocument"])
    (folder / "fleet.json").write_bytes(strict_json.canonical(draft))
    show(
        "enrolment, the one edit of the program's fleet document:\n" + "\n".join(f"  {line}" for line in edit)
    )
    say("sign and publish: tunnel-fleet document --sign --publish")
    envelope = folder / "fleet.signed.json"
    signed = await fleet_command(
        "document", "--sign", "--key", str(owner_key), "--in", str(folder / "fleet.json"),
        "--out", str(envelope), "--publish", str(publish),
    )  # fmt: skip
    show(signed)
    return Provisioned(
        folder=folder,
        ports=ports,
        owner_key=key,
        records=outputs["records"],
        settings={name: up / "settings" / f"{name}.json" for name in [*SERVERS, *CLIENTS]},
        simulations=simulations,
        envelope=envelope,
        tree=tree,
        edit=edit,
    )


async def _up(folder: Path, config: Path, out: Path, say: Say) -> str:
    """Write the program's outputs to `out`; returns the tree. The real engine does it where its CLI is."""
    pulumi = os.environ.get("PULUMI_BINARY") or shutil.which("pulumi")
    if pulumi is None:
        say("preview and simulated up of three clouds and dns: tunnel-fleet simulate")
        return await fleet_command("simulate", "--stack", "local", "--config", str(config), "--out", str(out))
    say("preview of three clouds and dns: tunnel-fleet preview")
    tree = await fleet_command("preview", "--stack", "local", "--config", str(config))
    say(f"up by the real Pulumi engine ({pulumi}), with stand-ins for the clouds: tunnel-fleet local up")
    made = await fleet_command(
        "local", "up", "--config", str(config), "--pulumi", pulumi,
        "--folder", str(folder / "engine"), "--out", str(out),
    )  # fmt: skip
    return f"{tree}\n\nthe real engine's {made}"


def configuration(folder: Path, ports: Ports, owner_key: str) -> dict[str, Any]:
    """Return the configuration of stack `local`, with this run's ports, paths and key."""
    stack = yaml.safe_load((PROJECT / "Pulumi.local.yaml").read_text("utf-8"))
    fleet: dict[str, Any] = stack["config"]["tunnel:fleet"]
    fleet |= {
        "owner_keys": [owner_key],
        "document": fleet["document"] | {"urls": [f"http://127.0.0.1:{ports.publisher}/fleet.json"]},
        "ports": {"visitors": ports.visitors, "sessions": ports.sessions, "data": ports.data},
        "resolver": f"127.0.0.1:{ports.dns}",
        "dns": fleet["dns"] | {"ttl": TTL_S},
    }
    for server in fleet["servers"]:
        server |= {"listen": [SERVERS[server["name"]]], "admin": f"127.0.0.1:{ports.admin[server['name']]}"}
    for client in fleet["clients"]:
        client |= {
            "routes": {"file": str(routes_file(folder, client["name"]))},
            "admin": f"127.0.0.1:{ports.admin[client['name']]}",
            "reconnect_cap_s": RECONNECT_CAP_S,
        }
    return fleet


def routes_file(folder: Path, client: str) -> Path:
    """Where a client's routes are; outside a VM they are a file."""
    return folder / f"routes-{client}.json"


def measurement() -> bytes:
    """The simulated TEE's launch digest: SHA-384 over the runtime's source, as if it were the image."""
    digest = sha384()
    for path in sorted((PROJECT / "runtime").rglob("*.py")):
        digest.update(str(path.relative_to(PROJECT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.digest()


def _enrol(folder: Path, draft: dict[str, Any]) -> tuple[dict[str, Path], dict[str, Any], list[str]]:
    amd = FakeAmd.create(folder / "amd")
    instances = {member["name"]: member["instance"]["value"] for member in draft["members"]}
    chips = {name: amd.chip(instance, _CHIPS[name]) for name, instance in instances.items()}
    measured = measurement()
    simulations = {name: folder / f"tee-{name}.json" for name in chips}
    for name, chip in chips.items():
        Simulation(chip=chip.path, measurement=measured, roots=amd.roots()).write(simulations[name])
    products: dict[SnpProduct, Any] = {
        product: {
            "min_tcb": dict(snp_report.TCBS[product]),
            "opt_in": enrol.KNOWN_WEAK if product == "Milan" else None,
        }
        for product in amd.products
    }
    document, edit = enrol.test_document(
        draft,
        measurement=measured,
        chip_ids={name: chip.chip_id for name, chip in chips.items()},
        products=products,
    )
    return simulations, document, edit


async def fleet_command(*arguments: str) -> str:
    """Run `tunnel-fleet` as a person would and return its answer. Raises: RuntimeError with its story."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "infra.cli", *arguments,
        cwd=PROJECT, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    answer, story = await process.communicate()
    if process.returncode:
        raise RuntimeError(
            f"tunnel-fleet {' '.join(arguments)} ended with {process.returncode}:\n{story.decode()}"
        )
    return answer.decode().rstrip()


def _free(count: int, host: str) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind((host, 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


def free_on_all(wanted: int) -> int:
    """Return `wanted` if it is free on every server's address, else some port that is."""
    for port in [wanted, *_free(20, "127.0.0.1")]:
        if all(_is_free(host, port) for host in SERVERS.values()):
            return port
    raise RuntimeError("no port is free on " + ", ".join(SERVERS.values()))


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as one:
        try:
            one.bind((host, port))
        except OSError:
            return False
        return True
