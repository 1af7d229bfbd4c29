"""`tunnel-fleet verify`: attest every address that DNS publishes, each on its own, with `tunnel verify`. I/O.

A name is as good as its worst address: one that is not attested fails the whole, and all are told.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from infra import console, owner_key, seen
from infra.commands.wait import read_outputs
from infra.seen import FAMILIES
from runtime.errors import TunnelError, UnreachableError

_PATIENCE_S = 120  # for one address; `tunnel verify` has its own, shorter deadline


class NotAttestedError(TunnelError):
    """At least one published address is not attested."""

    exit_status = 10
    code = "not_attested"
    answered = True  # the findings are the answer, in JSON too


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What one address showed."""

    address: str
    names: tuple[str, ...]
    status: int  # the exit status of `tunnel verify`
    answer: dict[str, Any] | None  # its JSON
    story: str  # its last word on stderr


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser("verify", help="attest every address that DNS publishes, each on its own")
    parser.add_argument(
        "--in", dest="source", type=Path, required=True, metavar="FILE", help="`pulumi stack output --json`"
    )
    parser.add_argument("--document", type=Path, required=True, metavar="FILE", help="the signed document")
    parser.add_argument(
        "--owner-key",
        action="append",
        required=True,
        metavar=owner_key.PUBLIC_FORM,
        help=owner_key.PUBLIC_HELP,
    )
    parser.add_argument("--resolver", metavar="ADDRESS[:PORT]", help="who is asked; else this machine's own")
    parser.add_argument("--port", type=int, default=443, metavar="PORT", help="the visitors' port")
    parser.add_argument(
        "--tunnel", default="tunnel", metavar="COMMAND", help="what attests one address (default: tunnel)"
    )
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Attest every address. Raises: UsageError, UnreachableError, NotAttestedError."""
    found = published(read_outputs(arguments.source), arguments.resolver)
    command = [*shlex.split(arguments.tunnel), "verify", "--json", "--document", str(arguments.document)]
    for key in map(owner_key.read_public, arguments.owner_key):  # once, and not for each address
        command += ["--owner-key", key.hex()]
    results = [attest(command, address, names, arguments.port) for address, names in sorted(found.items())]
    refused = [result for result in results if result.status]
    if arguments.json:
        console.answer_json({"ok": not refused, "addresses": [asdict(result) for result in results]})
    else:
        console.answer("\n".join(line(result) for result in results))
    if refused:
        message = f"{len(refused)} of {len(results)} published addresses are not attested"
        raise NotAttestedError(message)


def published(outputs: dict[str, Any], resolver: str | None) -> dict[str, tuple[str, ...]]:
    """Return every address that DNS answers for the fleet's names, with them. Raises: UnreachableError."""
    asked = seen.resolver_at(seen.parse_server(resolver) if resolver else None)
    names = sorted({entry.name for entry in seen.wanted(outputs)})
    found: dict[str, list[str]] = {}
    for name in names:
        for family in FAMILIES:
            for address in seen.addresses(asked, name, family):
                found.setdefault(address, []).append(name)
    if not found:
        message = f"DNS publishes no address for {', '.join(names)}"
        raise UnreachableError(message)
    return {address: tuple(where) for address, where in found.items()}


def attest(command: Sequence[str], address: str, names: tuple[str, ...], port: int) -> Verified:
    """Run `tunnel verify` for one address. Raises: UnreachableError where it did not even start."""
    target = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    try:
        done = subprocess.run(  # noqa: S603 - the command is the person's own
            [*command, "--address", target], capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        message = f"{command[0]} verify did not end for {target}: {error}"
        raise UnreachableError(message) from error
    try:
        answer: Any = json.loads(done.stdout)
    except ValueError:
        answer = None
    words = done.stderr.strip().splitlines()
    return Verified(
        address=target,
        names=names,
        status=done.returncode,
        answer=answer if isinstance(answer, dict) else None,
        story=words[-1] if words else "",
    )


def line(result: Verified) -> str:
    """Return one address's result as a person reads it."""
    word = "attested" if result.status == 0 else f"refused ({result.status})"
    return f"{result.address} {word} for {', '.join(result.names)}: {result.story}"
