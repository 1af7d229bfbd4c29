"""`make demo`: the whole chain on this machine, told step by step, ending by itself. I/O.

stdout carries what was found, stderr the progress. It fails (exit 1) when anything is not as it says.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.localfleet import change, provision, rolling
from tests.localfleet.change import attest, lively, verify_arguments
from tests.localfleet.fleet import LocalFleet, neighbours
from tests.localfleet.provision import SITE, TUNNEL_NAME, Provisioned
from tests.localfleet.traffic import Tally

EVEN_REQUESTS = 240
VICTIM = "aws-1"
BACK_WITHIN_S = 5.0
GROWN = (6, 4)  # servers and clients
CHANGE_DRAIN_S = rolling.PATIENCE_S  # no visit lasts longer; instead of 30, which a rollout waits for too
EVEN_SPREAD = 0.25  # of the mean: DNS rotation over 8 concurrent visitors is even, not exact


@dataclass(frozen=True, slots=True, kw_only=True)
class KillReport:
    """What the loss of a server did to visitors."""

    tally: Tally
    listening_after_s: float  # from the start of its process to its first session being possible
    back_after_s: float  # from then to all of its sessions carrying visitors


class Story:
    """Numbered progress on stderr, findings on stdout."""

    def __init__(self) -> None:
        self._start, self._step = time.monotonic(), 0

    def say(self, text: str) -> None:
        """Announce the next step."""
        self._step += 1
        print(
            f"[{time.monotonic() - self._start:6.1f} s] {self._step:>2}. {text}", file=sys.stderr, flush=True
        )

    def show(self, text: str) -> None:
        """Print a finding."""
        print(text + "\n", flush=True)


async def run(*, keep: bool, as_json: bool) -> int:
    """Run the demo; returns the exit status."""
    story = Story()
    folder = Path(tempfile.mkdtemp(prefix="tunnel-demo-"))
    failed = True
    try:
        show = (lambda _text: None) if as_json else story.show
        made = await provision.provision(folder, provision.free_ports(documented=True), story.say, show)
        async with neighbours(made) as fleet:
            findings, complaints = await _tell(fleet, story, show)
            if as_json:
                print(json.dumps(findings | {"ok": not complaints, "complaints": complaints}, indent=2))
            for complaint in complaints:
                print(f"demo: {complaint}", file=sys.stderr)
            failed = bool(complaints)  # from here on nothing is left, ctrl-c or not
            if keep and not failed:
                await _stay(fleet, story)
            story.say("stop every process")
        return 1 if failed else 0
    finally:
        if failed and (folder / "logs").exists():
            print(f"demo: the members' logs are kept in {folder / 'logs'}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)


async def soak(rounds: int) -> int:
    """Restart every member in turn under load; returns the exit status."""
    story, folder = Story(), Path(tempfile.mkdtemp(prefix="tunnel-soak-"))
    try:
        made = await provision.provision(folder, provision.free_ports(), story.say, lambda _text: None)
        async with neighbours(made) as fleet:
            await fleet.start()
            story.say(f"{rounds} restarts of servers and {rounds} of clients under load")
            return 0 if await rolling.soak(fleet, rounds, int(time.time())) else 1  # a figure's date, no more
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def changed() -> int:
    """Change a running fleet under visitors: 3 → 6 servers, 2 → 4 clients, then the next image."""
    story, folder = Story(), Path(tempfile.mkdtemp(prefix="tunnel-change-"))
    try:
        ports = provision.free_ports()
        async with change.running(folder, ports, story.say, lively(CHANGE_DRAIN_S)) as changing:
            async with changing.visited():
                await changing.grow(*GROWN)
                await changing.roll_out(attest)
            for step in changing.steps:
                story.show(str(step))
                for failure in step.failures[:3]:
                    print(f"  {failure}", file=sys.stderr)
            sessions = await changing.fleet.sessions()
            story.show(_sessions(sessions))
            story.say("stop every process")
        whole = len(sessions) == GROWN[0] * GROWN[1]
        return 0 if whole and not any(step.failures for step in changing.steps) else 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _tell(fleet: LocalFleet, story: Story, show: Any) -> tuple[dict[str, Any], list[str]]:
    complaints: list[str] = []
    story.say(
        f"start {len(fleet.servers)} tunnel servers and {len(fleet.clients)} tunnel clients "
        "from the settings the program produced"
    )
    await fleet.start()
    sessions = await fleet.sessions()
    show(_sessions(sessions))
    if len(sessions) != len(fleet.servers) * len(fleet.clients) or {grade for _, _, grade in sessions} != {
        "T"
    }:
        complaints.append(f"expected all sessions, of grade T, found {sessions}")
    story.say(f"{EVEN_REQUESTS} requests by 8 visitors, each over DNS and a TLS connection of its own")
    even = await fleet.crowd.ask_each_on_its_own_connection(EVEN_REQUESTS)
    show(_even(fleet, even))
    complaints += _uneven(fleet, even)
    story.say(f"kill -9 {VICTIM} while 8 visitors keep asking, then bring it back")
    kill = await _kill_and_return(fleet)
    show(_killed(kill))
    if kill.tally.failed:
        complaints.append(f"{kill.tally.failed} requests failed: {kill.tally.failures[:3]}")
    if kill.back_after_s > BACK_WITHIN_S:
        complaints.append(
            f"the sessions of {VICTIM} came back after {kill.back_after_s:.1f} s, want {BACK_WITHIN_S:g}"
        )
    story.say("attest each server from outside, over its own visitors' port")
    verified = [await attest(fleet, name) for name in fleet.servers]
    show(statement(verified))
    findings = {
        "sessions": [dict(zip(("server", "client", "grade"), s, strict=True)) for s in sessions],
        "even": _plain(even),
        "kill": {
            **_plain(kill.tally),
            "back_after_s": kill.back_after_s,
            "listening_after_s": kill.listening_after_s,
        },
        "verified": verified,
    }
    return findings, complaints


async def _kill_and_return(fleet: LocalFleet) -> KillReport:
    stop = asyncio.Event()
    asking = asyncio.ensure_future(fleet.crowd.ask_until(stop))
    try:
        await asyncio.sleep(2)
        await fleet.members[VICTIM].kill()
        await asyncio.sleep(3)
        started = time.monotonic()
        await fleet.members[VICTIM].start()
        await fleet.members[VICTIM].wait_for(lambda status: status["listening"], 30, "listener")
        listening = time.monotonic()
        await fleet.wait_for_sessions(VICTIM, len(fleet.clients), 30)
        back = time.monotonic()
        await asyncio.sleep(2)
    finally:
        stop.set()
        tally = await asking
    return KillReport(tally=tally, listening_after_s=listening - started, back_after_s=back - listening)


def owner_arguments(made: Provisioned, name: str) -> list[str]:
    """Return the arguments that ask one member as its owner; servers are found in the fleet's DNS."""
    return [
        name, "--document", str(made.envelope), "--owner-key", str(made.folder / "owner.key"),
        "--resolver", f"127.0.0.1:{made.ports.dns}", "--port", str(made.ports.sessions),
        "--simulation", str(made.simulations[name]),
    ]  # fmt: skip


def _sessions(sessions: list[tuple[str, str, str]]) -> str:
    lines = [f"{len(sessions)} mutually attested sessions (T = simulated TEE under a throw-away test root):"]
    lines += [f"  {server:<8} ⇄ {client:<9} grade {grade}" for server, client, grade in sorted(sessions)]
    return "\n".join(lines)


def _even(fleet: LocalFleet, tally: Tally) -> str:
    names = {address: name for name, address in fleet.servers.items()}
    servers = ", ".join(f"{names[address]} {count}" for address, count in sorted(tally.by_server.items()))
    clients = ", ".join(f"{name} {count}" for name, count in sorted(tally.by_origin.items()))
    return f"{tally.answered} answered, {tally.failed} failed\n  by server: {servers}\n  by client: {clients}"


def _uneven(fleet: LocalFleet, tally: Tally) -> list[str]:
    complaints = [f"{tally.failed} requests failed: {tally.failures[:3]}"] if tally.failed else []
    for what, counts, wanted in (
        ("servers", tally.by_server, len(fleet.servers)),
        ("clients", tally.by_origin, len(fleet.clients)),
    ):
        mean = tally.answered / wanted
        if len(counts) != wanted or any(abs(count - mean) > EVEN_SPREAD * mean for count in counts.values()):
            complaints.append(f"requests are not even over {what}: {dict(counts)}")
    return complaints


def _killed(kill: KillReport) -> str:
    tally = kill.tally
    return (
        f"kill -9 {VICTIM} under 8 visitors: {tally.answered} requests answered, {tally.failed} failed, "
        f"{tally.retried} connections or requests retried on the next address\n"
        f"  {VICTIM} listened again {kill.listening_after_s:.1f} s after its start, "
        f"its sessions carried visitors {kill.back_after_s:.1f} s later"
    )


def statement(verified: list[dict[str, Any]]) -> str:
    """Return what was verified, by whom, and what was not."""
    lines = ["what was verified"]
    for answer in verified:
        member, where, grade = answer["member"], answer["address"], answer["grade"]
        lines.append(f"  {member} at {where}: grade {grade}, purpose {answer['purpose']}")
        lines += [f"    {s['claim']}: {s['value']} (by {s['measured_by']})" for s in answer["statements"]]
    lines.append(
        "  each session: by both sides, evidence bound to that very TLS connection, confirmed by both"
    )
    lines.append("what was not")
    unproven = sorted({what for answer in verified for what in answer["not_proven"]})
    lines += [f"  {what}" for what in unproven]
    lines += [
        "  any hardware: every TEE here is a key file on this machine, its root made minutes ago (grade T)",
        "  any cloud: the three clouds' answers were simulated, the addresses are this machine's own",
        "  that visitors look: a browser checks the site's certificate, not the evidence",
    ]
    return "\n".join(lines)


def _plain(tally: Tally) -> dict[str, Any]:
    return {**asdict(tally), "by_server": dict(tally.by_server), "by_origin": dict(tally.by_origin)}


async def _stay(fleet: LocalFleet, story: Story) -> None:
    made, python = fleet.made, sys.executable
    story.say("it stays up (ctrl-c ends it)")
    address = fleet.servers["gcp-1"]
    print(
        f"""the site, through any of three servers:
  curl --cacert {fleet.certificate.ca} --resolve {SITE}:{made.ports.visitors}:{address} https://{SITE}:{made.ports.visitors}/
attest a server:
  {python} -m tests.localfleet {" ".join(verify_arguments(made, "gcp-1"))}
ask a server, and a client through it, as their owner:
  {python} -m tests.localfleet status {" ".join(owner_arguments(made, "gcp-1"))}
  {python} -m tests.localfleet evidence-read {" ".join(owner_arguments(made, "client-1"))}
what a server sees of its sessions:
  curl http://{made.up.admin("gcp-1")}/status
ask the fleet's own DNS (the tunnel name is {TUNNEL_NAME}):
  dig @127.0.0.1 -p {made.ports.dns} {SITE} A
logs: {made.folder / "logs"}
""",
        flush=True,
    )
    await asyncio.Event().wait()
