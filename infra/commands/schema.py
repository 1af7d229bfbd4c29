"""`tunnel-fleet schema`: the JSON Schema of a stack's file, for editors. I/O."""

from __future__ import annotations

import argparse

from infra import console, stack_schema


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser("schema", help="write the JSON Schema of a stack's file")
    parser.add_argument("--json", action="store_true", help="it is JSON anyway")
    parser.set_defaults(run=run)


def run(_arguments: argparse.Namespace) -> None:
    """Write the schema."""
    console.answer_json(stack_schema.build())
