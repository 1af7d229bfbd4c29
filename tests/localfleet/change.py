"""A running fleet is changed as a cloud's would be: a scale-out, then the three `up`s of a rollout. I/O.

Visitors go on asking meanwhile, by DNS, keeping an answer for its TTL; a refused connection sends them to the
next address, and anything else that is no answer is a failure. `make change` tells it, tests assert it.

Apart from a cloud: members are asked to look for the new document at once (by themselves they do every
30 s), and new ones start when it is published (on a cloud they are there before, and their service manager
starts them again until a document names them; visitors meet a refused connection either way).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from runtime.documents import strict_json
from runtime.limits import Limits
from runtime.tunnel import resolve
from tests.localfleet import configurations, provision, rolling, ups
from tests.localfleet.configurations import Configuration
from tests.localfleet.fleet import LocalFleet, neighbours, origin_beside
from tests.localfleet.ports import Ports
from tests.localfleet.processes import PROJECT, ask
from tests.localfleet.program import Program
from tests.localfleet.provision import SITE, TUNNEL_NAME
from tests.localfleet.rolling import Met
from tests.localfleet.ups import Say, Up

PAUSE_S = 0.2  # between a visitor's connections
LEAVE_S = 20.0  # beyond the drain, for a process to end
FIRST_MANIFEST = PROJECT / "images" / "manifests" / "0.1.0-simulated.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One change, and what new connections met while it was made."""

    what: str
    answered: int
    refused: int  # and served by the next address
    failures: tuple[str, ...]
    up: Up

    def __str__(self) -> str:
        return (
            f"{self.what}: {self.answered} new connections answered, "
            f"{self.refused} refusals passed on to the next address, {len(self.failures)} failed"
        )


def lively(drain_s: float) -> Callable[[Configuration], Configuration]:
    """Return an edit of the configuration: a drain and a TTL that one can wait for."""
    return lambda fleet: fleet | {"limits": {"drain_s": drain_s}, "dns": fleet["dns"] | {"ttl": 2}}


class Change:
    """Changes one running fleet, an `up` after the other."""

    def __init__(
        self, fleet: LocalFleet, program: Program, origins: contextlib.AsyncExitStack, say: Say
    ) -> None:
        """`origins` ends what is started beside new clients; `say` takes progress."""
        self.fleet, self.steps = fleet, list[Step]()
        self._program, self._origins, self._say = program, origins, say
        self._met = Met()
        self._number = 1  # of the last `up`

    async def grow(self, servers: int, clients: int) -> None:
        """Add servers and clients: one `up`, then the document that names them."""
        made = self.fleet.made
        before, counts = made.up.configuration, (len(made.up.servers), len(made.up.clients))
        wanted = configurations.larger(before, servers, clients)
        ports = made.ports.more(configurations.names(wanted))
        self.fleet.made = replace(made, ports=ports)
        wanted = configurations.placed(wanted, ports, made.folder)
        async with self._step(f"scale-out, {counts[0]} → {servers} servers, {counts[1]} → {clients} clients"):
            up = await self._up(wanted)
            for client in wanted["clients"][len(before["clients"]) :]:
                await self._origins.enter_async_context(
                    origin_beside(self.fleet.made, client["name"], self.fleet.certificate)
                )
            await self._join(up)

    async def roll_out(self, verify: Callable[[LocalFleet, str], Awaitable[object]]) -> None:
        """Replace every machine by one of the next image (decision 0070); `verify` attests a new server."""
        manifest = next_manifest(self.fleet.made.folder)
        before = self.fleet.made.up
        both = configurations.with_next_image(
            before.configuration, manifest, sha256(manifest.read_bytes()).hexdigest()
        )
        turned = configurations.turned(both)
        async with self._step("rollout, generation 2 joins"):
            await self._join(await self._up(both))
            new = [name for name in self.fleet.servers if name not in before.servers]
            await asyncio.gather(*(verify(self.fleet, name) for name in new))
        async with self._step("rollout, visitors are led from generation 1 to 2"):
            up = await self._up(turned)
            if self.fleet.enter(up):
                raise RuntimeError("an `up` that only changes names made machines")
            await self._wait(up)
        async with self._step("rollout, generation 1 goes"):
            up = await self._up(configurations.rolled(turned))
            self.fleet.enter(up)
            drain_s = _drain_s(up)
            await self.fleet.drain(set(self.fleet.members) - set(up.members), drain_s + LEAVE_S)
            await self._publish()
            await self.fleet.whole()
            await self._nobody_names(before)

    async def _join(self, up: Up) -> None:
        there = list(self.fleet.members)
        added = self.fleet.enter(up)
        await self._publish()
        self.fleet.ask_urls(there)
        self._say(f"start {len(added)} members from the settings the program produced: {', '.join(added)}")
        await self.fleet.start(added)

    async def _up(self, configuration: Configuration) -> Up:
        self._number += 1
        return await ups.run(self._program, self.fleet.made.folder, self._number, configuration, self._say)

    async def _publish(self) -> None:
        self.fleet.made = await provision.publish(
            self.fleet.made, self._program, self._say, lambda _text: None
        )

    async def _wait(self, up: Up) -> None:
        self._say("until nobody remembers generation 1: tunnel-fleet wait")
        await provision.fleet_command(
            "wait", "--in", str(up.folder / "outputs.json"),
            "--resolver", f"127.0.0.1:{self.fleet.made.ports.dns}", "--timeout", "60",
        )  # fmt: skip

    async def _nobody_names(self, before: Up) -> None:
        """Hold DNS and the document against the machines that went."""
        for name in (TUNNEL_NAME, SITE):
            answer = await resolve.resolve(name, ("127.0.0.1", self.fleet.made.ports.dns), Limits())
            if gone := set(answer.addresses) & set(before.servers.values()):
                raise RuntimeError(f"{name} still leads to {gone}")
        document = json.loads((self.fleet.made.folder / "fleet.json").read_bytes())
        if named := {member["name"] for member in document["members"]} & set(before.members):
            raise RuntimeError(f"the document still names {named}")

    @contextlib.asynccontextmanager
    async def _step(self, what: str) -> AsyncGenerator[None, None]:
        self._say(what)
        answered, refused, failed = self._met.answered, self._met.refused, len(self._met.failures)
        yield
        met = self._met
        self.steps.append(
            Step(
                what=what,
                answered=met.answered - answered,
                refused=met.refused - refused,
                failures=tuple(met.failures[failed:]),
                up=self.fleet.made.up,
            )
        )

    @contextlib.asynccontextmanager
    async def visited(self) -> AsyncGenerator[Met, None]:
        """Keep visitors asking."""
        stop = asyncio.Event()
        asking = asyncio.create_task(rolling.load(self.fleet, stop, self._met, PAUSE_S))
        try:
            yield self._met
        finally:
            stop.set()
            await asking


@contextlib.asynccontextmanager
async def running(
    folder: Path, ports: Ports, say: Say, edit: Callable[[Configuration], Configuration]
) -> AsyncGenerator[Change, None]:
    """Provision and start a fleet that is to be changed."""
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(ports.close)
        program = await stack.enter_async_context(Program())
        made = await provision.provision(folder, ports, say, lambda _text: None, program=program, edit=edit)
        origins = await stack.enter_async_context(contextlib.AsyncExitStack())
        fleet = await stack.enter_async_context(neighbours(made))
        say(f"start {len(fleet.servers)} servers and {len(fleet.clients)} clients")
        await fleet.start()
        yield Change(fleet, program, origins, say)


def next_manifest(folder: Path) -> Path:
    """Write the manifest of the next simulated image, which differs by its version, and so by its digest."""
    path = folder / f"{configurations.NEXT_VERSION}.json"
    manifest: dict[str, Any] = json.loads(FIRST_MANIFEST.read_bytes())
    path.write_bytes(strict_json.canonical(manifest | {"version": configurations.NEXT_VERSION}))
    return path


async def attest(fleet: LocalFleet, name: str) -> dict[str, Any]:
    """Attest one server from outside, over its own visitors' port. Raises: RuntimeError."""
    made = fleet.made
    status, answer, story = await ask("-m", "tests.localfleet", *verify_arguments(made, name), "--json")
    if status:
        raise RuntimeError(f"verifying {name} ended with {status}: {answer}\n{story}")
    return dict(json.loads(answer))


def verify_arguments(made: provision.Provisioned, name: str) -> list[str]:
    """Return the arguments that attest one server from outside."""
    return [
        "verify", "--address", f"{made.up.servers[name]}:{made.ports.visitors}",
        "--document", str(made.envelope), "--owner-key", made.owner_key,
        "--simulation", str(made.simulations[name]),
    ]  # fmt: skip


def _drain_s(up: Up) -> float:
    return float(up.configuration["limits"]["drain_s"])
