"""`tunnel endorsements bundle|check`: what endorsers say of a fleet's machines, in one file. I/O.

`bundle` needs the network: it takes evidence that `tunnel evidence read` or `collect` wrote, asks AMD, Azure,
Intel, Google and Microsoft for what it lacks, and writes the answers into a file to publish beside the fleet
document; if one could not be had, it writes nothing. `check` needs no network: it says of such a file what is
in it and until when each item is good; a stale one fails, with the date, so that a job can watch it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from runtime.attestation.endorsements import bundle, contents
from runtime.attestation.endorsements.bundle import Bundle
from runtime.attestation.endorsements.endorser import Endorser, Shortfall, Sources
from runtime.attestation.endorsements.wanted import Want, endorsements_needed
from runtime.attestation.endorsements.web import Web
from runtime.attestation.wire import Evidence
from runtime.commands import answers
from runtime.commands.evidence import files
from runtime.commands.evidence.files import Collected
from runtime.documents import times
from runtime.errors import MalformedError, UnreachableError, UsageError

DEADLINE_S = 300.0  # for all machines: AMD's limit is one answer in ten seconds
_EVIDENCE = "of one machine each, as `tunnel evidence read` or `collect` wrote it"
SOON_S = 3 * times.DAY_S


ABOUT = """
What endorsers say of a fleet's machines, in one file. `bundle` takes evidence that `tunnel evidence read`
or `collect` wrote, asks the endorsers for what it lacks, and writes their answers into a file to publish
beside the fleet document. `check` says what is in such a file and until when each item is good; a stale one
fails, with the date, so that a job can watch it.
"""


class StaleError(UnreachableError):
    """A bundle lacks something that its machines need, or some of it has ended."""

    exit_status = 10
    code = "stale"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs and their options."""
    verbs = parser.add_subparsers(required=True, metavar="VERB", dest="endorsements_verb")
    making = verbs.add_parser(
        "bundle", help="ask the endorsers (over the network), write a bundle", description=ABOUT
    )
    making.add_argument("--evidence", action="append", required=True, metavar="FILE", help=_EVIDENCE)
    making.add_argument("--out", required=True, metavar="FILE", help="where to write it")
    checking = verbs.add_parser("check", help="say what a bundle holds, and until when", description=ABOUT)
    checking.add_argument("--evidence", action="append", required=True, metavar="FILE", help=_EVIDENCE)
    checking.add_argument("bundle", metavar="BUNDLE", help="the file")
    checking.add_argument("--json", action="store_true", help="answer with JSON")


def make(options: argparse.Namespace, web: Web, now: int, sources: Sources | None = None) -> None:
    """Write a bundle. Raises: TunnelError, UnreachableError if something could not be had."""
    endorser = Endorser(web=web, cache=None, now=lambda: now, sources=sources or Sources())
    short = asyncio.run(_gather(endorser, _machines(options.evidence)))
    if short:  # a bundle that lacks something would take the place of a good one
        missing = "\n  ".join(dict.fromkeys(map(str, short)))
        message = (
            f"{options.out} was not written, and is as it was: these could not be had\n  {missing}\n"
            "run it again when their endorsers answer, from a machine that reaches them"
        )
        raise UnreachableError(message)
    data = bundle.write(Bundle(made_at=now, items=endorser.used))
    _replace(Path(options.out), data)
    print(f"tunnel: {len(endorser.used)} items, {len(data)} bytes, in {options.out}", file=sys.stderr)


def _replace(path: Path, data: bytes) -> None:
    """Put a file in the place of another, whole or not at all. Raises: UsageError."""
    try:
        descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        with contextlib.ExitStack() as undo:
            undo.callback(Path(part).unlink)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(part).chmod(0o644)  # it is for publishing
            Path(part).replace(path)
            undo.pop_all()
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}"
        raise UsageError(message) from error


async def _gather(endorser: Endorser, machines: Sequence[Evidence]) -> list[Shortfall]:
    deadline = endorser.monotonic() + DEADLINE_S
    short: list[Shortfall] = []
    for evidence in machines:
        left = max(0.0, deadline - endorser.monotonic())
        _, missing = await endorser.complete(evidence, deadline_s=left)
        short += missing
    return short


def check(options: argparse.Namespace, now: int) -> None:
    """Say what is in a bundle. Raises: StaleError, TunnelError."""
    held = bundle.read(files.load_up_to(options.bundle, bundle.MAX_BUNDLE_SIZE))
    rows: list[tuple[str, str, str]] = []
    bad = False
    for evidence in _machines(options.evidence):
        for want, state, until in _states(evidence, held, now):
            bad = bad or state in {"ended", "missing", "unusable"}
            rows.append((want.key, state, until))
    rows = sorted(set(rows))
    message = "the bundle is not enough for these machines: make it again with `tunnel endorsements bundle`"
    answers.give(
        {
            "made_at": times.show(held.made_at),
            "items": [{"key": key, "state": state, "until": until} for key, state, until in rows],
        },
        [
            f"made at {times.show(held.made_at)}, {len(held.items)} items",
            *(f"  {state:<8}  {until:<20}  {key}" for key, state, until in rows),
        ],
        as_json=options.json,
        refusal=StaleError(message) if bad else None,
    )


def _states(evidence: Evidence, held: Bundle, now: int) -> list[tuple[Want, str, str]]:
    """Walk the wants as a member would, from the bundle alone, and say how good each item is."""
    found: list[tuple[Want, str, str]] = []
    seen: set[str] = set()
    while fresh := [want for want in endorsements_needed(evidence) if want.key not in seen]:
        for want in fresh:
            seen.add(want.key)
            body = held.items.get(want.key)
            if body is None:
                found.append((want, "missing", ""))
                continue
            try:
                content = contents.read(want, body, evidence)
            except MalformedError:
                found.append((want, "unusable", ""))
                continue
            until = content.fresh_until
            state = "good"
            if until is not None:
                state = "ended" if now >= until else "soon" if now >= until - SOON_S else "good"
            found.append((want, state, "" if until is None else times.show(until)))
            evidence = Evidence(
                format=evidence.format,
                parts=evidence.parts,
                endorsements={**evidence.endorsements, **content.endorsements},
            )
    return found


def _machines(paths: Sequence[str]) -> list[Evidence]:
    """Read the machines' evidence, keeping only what the machines themselves hand out."""
    made: list[Evidence] = []
    for path in paths:
        data = files.load(path)
        try:
            found = files.read(data)
        except MalformedError as error:
            message = f"{path}: {error}"
            hint = (
                "want what `tunnel evidence collect` or `read` wrote (--out FILE), not a bare report or quote"
            )
            raise UsageError(message, hint=hint) from error
        evidence = found.evidence if isinstance(found, Collected) else found
        own = {n: v for n, v in evidence.endorsements.items() if n in {"ak_certificate", "event_log"}}
        made.append(Evidence(format=evidence.format, parts=evidence.parts, endorsements=own))
    return made
