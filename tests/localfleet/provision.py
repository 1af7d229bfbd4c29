"""From nothing to a signed, published fleet document: the way of design, the tools of production. I/O.

owner key → configuration → preview → `up`, the engine's or simulated → enrolment → sign → publish.
Everything that the members boot with comes out of the Pulumi program; only the enrolment is ours (`enrol`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha384
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml  # type: ignore[import-untyped]  # PyYAML ships no types

from infra.capabilities import CloudName
from runtime.documents import strict_json
from runtime.documents.reference_values import SnpProduct
from tests.fakes import fleets, snp_report
from tests.fakes.amd import FakeAmd
from tests.localfleet import configurations, enrol, ups
from tests.localfleet import ports as ports_of
from tests.localfleet.configurations import Configuration
from tests.localfleet.member import Simulation
from tests.localfleet.ports import Ports
from tests.localfleet.processes import PROJECT, ask
from tests.localfleet.program import Program
from tests.localfleet.ups import Say, Up

# What Pulumi.local.yaml asks for. A running fleet takes its members from the program's outputs (`ups`).
TUNNEL_NAME = "tunnel.demo.test"
SITE = "app.demo.test"
SERVERS = {"aws-1": "127.0.0.11", "azure-1": "127.0.0.12", "gcp-1": "127.0.0.13"}
CLIENTS = ("client-1", "client-2")
_CHIPS: Mapping[CloudName, SnpProduct] = MappingProxyType({"aws": "Milan", "azure": "Genoa", "gcp": "Turin"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisioned:
    """A fleet ready to start, or to be changed."""

    folder: Path
    ports: Ports
    owner_key: str  # hex
    up: Up  # the last one
    version: int  # of the document that is published
    simulations: dict[str, Path]
    envelope: Path
    edit: list[str]

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records of the last `up`."""
        return self.up.records


def free_ports(*, documented: bool = False) -> Ports:
    """Claim ports for the fleet of Pulumi.local.yaml."""
    return ports_of.claim([*SERVERS, *CLIENTS], documented=documented)


def _unchanged(configuration: Configuration) -> Configuration:
    return configuration


async def provision(
    folder: Path,
    ports: Ports,
    say: Say,
    show: Say,
    *,
    program: Program | None = None,
    edit: Callable[[Configuration], Configuration] = _unchanged,
) -> Provisioned:
    """Do all of it; `say` takes progress, `show` the answers, `edit` changes the configuration first.

    The ports are let go when it fails.
    """
    try:
        async with contextlib.AsyncExitStack() as stack:
            if program is None:
                program = await stack.enter_async_context(Program())
            return await _provision(folder, ports, say, show, program, edit)
    except BaseException:  # a cancellation too
        ports.close()
        raise


async def _provision(
    folder: Path,
    ports: Ports,
    say: Say,
    show: Say,
    program: Program,
    edit: Callable[[Configuration], Configuration],
) -> Provisioned:
    say("owner key: tunnel-fleet key new")
    key = (await program.command("key", "new", "--out", str(folder / "owner.key"))).split()[-1]
    stack = yaml.safe_load((PROJECT / "Pulumi.local.yaml").read_text("utf-8"))
    configuration = edit(configurations.first(stack["config"]["tunnel:fleet"], ports, key, folder))
    up = await ups.run(program, folder, 1, configuration, say)
    show(up.tree)
    say("simulated tees: a throw-away AMD root and one chip per member")
    await asyncio.to_thread(FakeAmd.create, folder / "amd")
    (folder / "publish").mkdir()
    made = Provisioned(
        folder=folder, ports=ports, owner_key=key, up=up, version=0, simulations={},
        envelope=folder / "fleet.signed.json", edit=[],
    )  # fmt: skip
    return await publish(made, program, say, show)


async def publish(made: Provisioned, program: Program, say: Say, show: Say) -> Provisioned:
    """Enrol the members of the last `up` and put the next version of their document where its URLs point."""
    simulations, draft, edit = await asyncio.to_thread(_enrol, made)
    unsigned = made.folder / "fleet.json"
    unsigned.write_bytes(strict_json.canonical(draft))
    show(
        "enrolment, the one edit of the program's fleet document:\n" + "\n".join(f"  {line}" for line in edit)
    )
    say("sign and publish: tunnel-fleet document --sign --publish")
    signed = await program.command(
        "document", "--sign", "--key", str(made.folder / "owner.key"), "--in", str(unsigned),
        "--out", str(made.envelope), "--publish", str(made.folder / "publish"),
    )  # fmt: skip
    show(signed)
    return replace(made, version=draft["version"], simulations=simulations, edit=edit)


def measurement(manifest_sha256: str) -> bytes:
    """Return an image's simulated launch digest: SHA-384 over its manifest and the runtime's source."""
    digest = sha384(bytes.fromhex(manifest_sha256))
    for path in sorted((PROJECT / "runtime").rglob("*.py")):
        digest.update(str(path.relative_to(PROJECT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.digest()


def _enrol(made: Provisioned) -> tuple[dict[str, Path], dict[str, Any], list[str]]:
    amd, draft, clouds = FakeAmd.load(made.folder / "amd"), made.up.draft, made.up.clouds
    instances = {member["name"]: member["instance"]["value"] for member in draft["members"]}
    chips = {name: amd.chip(instance, _CHIPS[clouds[name]]) for name, instance in instances.items()}
    measurements = {
        image["manifest_sha256"]: measurement(image["manifest_sha256"]) for image in draft["images"]
    }
    simulations = {name: made.folder / f"tee-{name}.json" for name in chips}
    for name, chip in chips.items():
        measured = measurements[made.up.images[name]]
        Simulation(chip=chip.path, measurement=measured, roots=amd.roots()).write(simulations[name])
    products: dict[SnpProduct, Any] = {
        product: {
            "min_tcb": dict(snp_report.TCBS[product]),
            "opt_in": fleets.opt_in(product, enrol.KNOWN_WEAK),
        }
        for product in amd.products
    }
    document, edit = enrol.test_document(
        draft,
        version=made.version + 1,
        measurements=measurements,
        chip_ids={name: chip.chip_id for name, chip in chips.items()},
        products=products,
    )
    return simulations, document, edit


async def fleet_command(*arguments: str) -> str:
    """Run `tunnel-fleet` as a person would and return its answer. Raises: RuntimeError with its story."""
    status, answer, story = await ask("-m", "infra.cli", *arguments)
    if status:
        raise RuntimeError(f"tunnel-fleet {' '.join(arguments)} ended with {status}:\n{story}")
    return answer.rstrip()
