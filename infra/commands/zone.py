"""`tunnel-fleet zone`: a stack's records as a master file, for a name server of one's own. I/O."""

from __future__ import annotations

import argparse
from pathlib import Path

from infra import clock, console
from infra.commands.wait import read_outputs
from infra.zone_file import render
from runtime.errors import UsageError


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser("zone", help="write a zone of the fleet as a master file")
    parser.add_argument(
        "--in", dest="source", type=Path, required=True, metavar="FILE", help="`pulumi stack output --json`"
    )
    parser.add_argument("--zone", required=True, metavar="NAME", help="which of the fleet's zones")
    parser.add_argument("--contact", required=True, metavar="MAIL", help="who answers for it")
    parser.add_argument(
        "--name-server", action="append", default=[], metavar="NAME", help="instead of its own"
    )
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Write one zone. Raises: UsageError."""
    outputs = read_outputs(arguments.source)
    zones = outputs.get("nameServers", {})
    if arguments.zone not in zones:
        message = f"zone is {arguments.zone!r}, want one of {', '.join(sorted(zones)) or '(none)'}"
        raise UsageError(message)
    if arguments.contact.count("@") != 1:
        message = f"contact is {arguments.contact!r}, want a mail address"
        raise UsageError(message)
    # Seconds rise with every change and fit 32 bits until 2106.
    serial = int(clock.now())
    servers = arguments.name_server or zones[arguments.zone]
    text = render(arguments.zone, outputs["records"], servers, contact=arguments.contact, serial=serial)
    if arguments.json:
        console.answer_json({"zone": arguments.zone, "serial": serial, "text": text})
    else:
        console.answer(text.rstrip("\n"))
