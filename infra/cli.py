"""The command `tunnel-fleet`: arguments in, exit status out. I/O.

Exit: 0 done, 1 our bug, 2 something the caller has to change, 10 an address does not attest (`verify`), 30
something did not answer.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from infra import console
from runtime.errors import TunnelError, UsageError


class _Parser(argparse.ArgumentParser):
    """One that refuses a wrong command line as everything else is refused: told, with an answer in JSON."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=" ".join(self.format_usage().split()))


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit status."""
    # Before the first import of grpc: its own chatter on stderr is not the story of this command.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = argparse.Namespace(json="--json" in words)  # as it stands until the words are understood
    try:
        _parser().parse_args(words, arguments)
        arguments.run(arguments)
    except TunnelError as error:
        console.refusal(error, as_json=arguments.json)
        return error.exit_status
    return 0


def _parser() -> argparse.ArgumentParser:
    from infra.commands import (
        doctor,
        document,
        key,
        local,
        merge,
        plan,
        preview,
        schema,
        simulate,
        verify,
        wait,
        zone,
    )

    parser: argparse.ArgumentParser = _Parser(
        prog=console.NAME, description="plan, preview and sign a fleet of tunnels"
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for verb in (plan, preview, simulate, local, key, document, merge, wait, verify, zone, doctor, schema):
        verb.add(verbs)
    return parser


if __name__ == "__main__":
    sys.exit(main())
