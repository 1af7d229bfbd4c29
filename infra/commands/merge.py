"""`tunnel-fleet merge`: the fleet documents of two owners or stacks made into one, unsigned. I/O.

Where they contradict each other every conflict is named and nothing is written: which of two answers is right
is the owner's to say, in the documents. What came of it has to pass `document --check`, and is what the owner
looks at before signing: against each of the two it lets more in.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
from pathlib import Path
from typing import Any

from infra import clock, console, doubts, merging
from infra.commands.document import read_fleet
from runtime.documents import fleet, strict_json
from runtime.errors import DocumentError, UsageError


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser("merge", help="make one unsigned fleet document of two", description=__doc__)
    parser.add_argument("first", type=Path, metavar="FILE", help="an unsigned fleet document")
    parser.add_argument("second", type=Path, metavar="FILE", help="another one of the same fleet")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="a new file for the result")
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Merge two documents. Raises: UsageError, DocumentError with every conflict or problem."""
    merged, conflicts = merging.merge(_read(arguments.first), _read(arguments.second))
    if conflicts:
        what = f"what {arguments.first} and {arguments.second} make together"
        raise DocumentError(what, conflicts, hint="make them say the same; neither is preferred")
    payload = json.dumps(merged, indent=2, ensure_ascii=False).encode() + b"\n"
    found = read_fleet(payload, clock.now())
    doubted = doubts.find(fleet.read(payload))
    if doubted:
        raise DocumentError(
            fleet.WHAT, doubted, hint="fill it in in the documents: the result has to be whole"
        )
    try:
        _write_new(arguments.out, payload)
    except OSError as error:
        message = f"{arguments.out}: {error.strerror}"
        hint = "--out is a new file" if isinstance(error, FileExistsError) else ""
        raise UsageError(message, hint=hint) from error
    console.story(
        f"compare before you sign: document --in {arguments.out} --diff {arguments.first}, and the other;"
        f" its version is {found.version}, want one above what is published"
    )
    if arguments.json:
        console.answer_json({**found.summary, "out": str(arguments.out)})
    else:
        console.answer(f"{arguments.out}: {len(merged['members'])} members, version {found.version}")


def _write_new(path: Path, data: bytes) -> None:
    """Write a new file, whole or not at all. Raises: OSError."""
    with path.open("xb") as file, contextlib.ExitStack() as undo:
        undo.callback(path.unlink)  # it was made here: half of it is no document
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        undo.pop_all()


def _read(path: Path) -> dict[str, Any]:
    """Read a document whatever the time. Raises: UsageError, DocumentError with the path."""
    try:
        payload = path.read_bytes()
    except OSError as error:
        message = f"{path}: {error.strerror}"
        raise UsageError(message) from error
    fleet.read(payload)
    value: dict[str, Any] = strict_json.parse(payload, fleet.WHAT)
    return value
