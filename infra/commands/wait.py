"""`tunnel-fleet wait`: until every name server answers the new records, and nobody remembers the old. I/O.

After it, a machine whose records are gone can go too: whoever asked before has asked again (TTL), and what
they still had open has ended (drain).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from infra import console, seen
from infra.seen import NameServer, Wanted
from runtime.documents import settings
from runtime.errors import UnreachableError, UsageError
from runtime.limits import Limits

_POLL_S = 2.0
Sleep = Callable[[float], None]


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser("wait", help="wait until DNS shows the records and the old ones are forgotten")
    parser.add_argument(
        "--in", dest="source", type=Path, required=True, metavar="FILE", help="`pulumi stack output --json`"
    )
    parser.add_argument(
        "--resolver",
        action="append",
        default=[],
        metavar="ADDRESS[:PORT]",
        help="who is asked; the zones' own name servers if left out",
    )
    parser.add_argument(
        "--drain",
        type=float,
        metavar="SECONDS",
        help="after the TTL; the longest limits.drain_s of the members' settings if left out",
    )
    parser.add_argument("--timeout", type=float, default=1800, metavar="SECONDS", help="for DNS to show it")
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Wait. Raises: UsageError, UnreachableError."""
    outputs = read_outputs(arguments.source)
    names = seen.wanted(outputs)
    servers = [seen.parse_server(text) for text in arguments.resolver] or list(seen.authoritative(outputs))
    ttl = longest_ttl(outputs)
    drain = longest_drain(outputs) if arguments.drain is None else arguments.drain
    until_seen(names, servers, timeout_s=arguments.timeout, sleep=time.sleep, clock=time.monotonic)
    console.story(f"{len(servers)} name servers answer it; waiting {ttl} s of TTL and {drain:g} s of drain")
    time.sleep(ttl + drain)  # what nobody can be asked: when caches forgot, and when the last stream ended
    # A server that was asked twice may have been two behind one address.
    until_seen(names, servers, timeout_s=arguments.timeout, sleep=time.sleep, clock=time.monotonic)
    answer: dict[str, Any] = {
        "names": sorted({entry.name for entry in names}),
        "name_servers": [str(server) for server in servers],
        "ttl_s": ttl,
        "drain_s": drain,
    }
    if arguments.json:
        console.answer_json(answer)
    else:
        console.answer(f"{', '.join(answer['names'])}: seen, and what was there before is forgotten")


def until_seen(
    names: Sequence[Wanted],
    servers: Sequence[NameServer],
    *,
    timeout_s: float,
    sleep: Sleep,
    clock: Callable[[], float],
) -> None:
    """Return when every server answers what is wanted. Raises: UnreachableError with what is left."""
    deadline = clock() + timeout_s
    told: list[str] = []
    while True:
        left = [line for server in servers for line in seen.differences(names, server)]
        if not left:
            return
        if clock() >= deadline:
            message = f"after {timeout_s:g} s: {'; '.join(left)}"
            raise UnreachableError(message)
        for line in left:
            if line not in told:
                console.story(line)
        told = left
        sleep(_POLL_S)


def longest_ttl(outputs: Mapping[str, Any]) -> int:
    """Return the longest life of any record that leads to a server, in seconds."""
    return max((int(r["ttl"]) for r in outputs["records"] if r["type"] in {"A", "AAAA", "CNAME"}), default=0)


def longest_drain(outputs: Mapping[str, Any]) -> float:
    """Return the longest time that any member gives its streams, in seconds. Raises: DocumentError."""
    members = [settings.read(text.encode()) for text in outputs.get("settings", {}).values()]
    return max((member.limits.drain_s for member in members), default=Limits().drain_s)


def read_outputs(path: Path) -> dict[str, Any]:
    """Return a stack's outputs. Raises: UsageError."""
    try:
        found: object = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        message = f"{path} holds no outputs: {error}"
        raise UsageError(message, hint="pulumi stack output --json --stack STACK > FILE") from error
    if not isinstance(found, dict):
        message = f"{path} holds no outputs: it is no object"
        raise UsageError(message, hint="pulumi stack output --json --stack STACK > FILE")
    return cast("dict[str, Any]", found)
