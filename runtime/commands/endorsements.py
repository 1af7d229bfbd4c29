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
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runtime.attestation.endorsements import bundle
from runtime.attestation.endorsements.bundle import Bundle
from runtime.attestation.endorsements.endorser import Endorser, Shortfall, Sources
from runtime.attestation.endorsements.web import Web
from runtime.attestation.tees import Root
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
or `collect` wrote, asks AMD, Azure, Intel, Google and Microsoft for what it lacks, over the network, and
writes their answers into a file to publish beside the fleet document; if one of them could not be had, it
leaves the file as it is. `check` needs no network: it says what is in such a file and until when each item
is good; a stale one fails, with the date, so that a job can watch it.
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


def make(
    options: argparse.Namespace,
    web: Web,
    roots: tuple[Root, ...],
    now: int,
    sources: Sources | None = None,
) -> None:
    """Write a bundle. Raises: TunnelError, UnreachableError if something could not be had."""
    endorser = Endorser(web=web, cache=None, now=lambda: now, roots=roots, sources=sources or Sources())
    short = asyncio.run(_gather(endorser, _machines(options.evidence)))
    if short:  # a bundle that lacks something would take the place of a good one
        missing = "\n  ".join(dict.fromkeys(map(str, short)))
        message = (
            f"{options.out} was not written, and is as it was: these could not be had\n  {missing}\n"
            "run it again when their endorsers answer, from a machine that reaches them"
        )
        raise UnreachableError(message)
    items = {key: one.body for key, one in endorser.used.items()}
    data = bundle.write(Bundle(made_at=now, items=items))
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


def check(options: argparse.Namespace, roots: tuple[Root, ...], now: int) -> None:
    """Say what is in a bundle. Raises: StaleError, TunnelError."""
    held = bundle.read(files.load_up_to(options.bundle, bundle.MAX_BUNDLE_SIZE))
    rows = sorted(
        {row for evidence in _machines(options.evidence) for row in _rows(evidence, held, roots, now)}
    )
    bad = any(row.state in {"ended", "missing", "unusable"} for row in rows)
    message = "the bundle is not enough for these machines: make it again with `tunnel endorsements bundle`"
    answers.give(
        {
            "made_at": times.show(held.made_at),
            "items": [
                {"key": row.key, "state": row.state, "until": row.until, "why": row.why} for row in rows
            ],
        },
        [
            f"made at {times.show(held.made_at)}, {len(held.items)} items",
            *(
                f"  {row.state:<8}  {row.until:<20}  {row.key}" + (f": {row.why}" if row.why else "")
                for row in rows
            ),
        ],
        as_json=options.json,
        refusal=StaleError(message) if bad else None,
    )


@dataclass(frozen=True, slots=True, order=True)
class _Row:
    key: str
    state: Literal["good", "soon", "ended", "missing", "unusable"]
    until: str  # a time, or nothing
    why: str


def _rows(evidence: Evidence, held: Bundle, roots: tuple[Root, ...], now: int) -> list[_Row]:
    """Complete the evidence as a member would, from the bundle alone, and say how good each item is."""
    endorser = Endorser(web=None, cache=None, now=lambda: now, roots=roots, bundle=held)
    _, short = asyncio.run(endorser.complete(evidence, deadline_s=DEADLINE_S))
    rows = [
        _Row(key, "soon" if now >= one.until - SOON_S else "good", times.show(one.until), "")
        for key, one in endorser.used.items()
    ]
    for one in short:
        miss = next((miss for miss in one.misses if miss.place == "bundle"), None)
        if miss is None:
            rows.append(_Row(one.want.key, "missing", "", ""))
        elif miss.until is not None:
            rows.append(_Row(one.want.key, "ended", times.show(miss.until), ""))
        else:
            rows.append(_Row(one.want.key, "unusable", "", miss.why.removeprefix(f"{one.want.key}: ")))
    return rows


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
