"""The command `tunnel-fleet`: arguments in, exit status out. I/O.

Exit: 0 done, 1 our bug, 2 something the caller has to change, 10 an address does not attest (`verify`), 30
something did not answer.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from infra import console
from runtime.errors import TunnelError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit status."""
    # Before the first import of grpc: its own chatter on stderr is not the story of this command.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    arguments = _parser().parse_args(argv)
    try:
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

    parser = argparse.ArgumentParser(
        prog=console.NAME, description="plan, preview and sign a fleet of tunnels"
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for verb in (plan, preview, simulate, local, key, document, merge, wait, verify, zone, doctor, schema):
        verb.add(verbs)
    return parser


if __name__ == "__main__":
    sys.exit(main())
