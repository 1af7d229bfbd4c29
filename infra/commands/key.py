"""`tunnel-fleet key new`: make the owner's key. I/O."""

from __future__ import annotations

import argparse
from pathlib import Path

from infra import console, owner_key
from runtime.documents import dsse


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the command line."""
    actions = verbs.add_parser("key", help="the owner's key").add_subparsers(metavar="ACTION", required=True)
    parser = actions.add_parser("new", help="make a key and print its public half")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Make a key. Raises: UsageError."""
    public = owner_key.create(arguments.out)
    console.story(f"wrote {arguments.out}: keep it off the servers, the state and the pipelines")
    if arguments.json:
        console.answer_json({"public_key": public.hex(), "key_id": dsse.key_id(public)})
    else:
        console.answer(public.hex())
