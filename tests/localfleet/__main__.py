"""`python -m tests.localfleet`: the demo, and the commands it suggests. Simulated TEEs live here only."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from runtime import config
from runtime.attestation.snp_claims import TrustRoot
from runtime.clock import TrustedClock
from runtime.commands import main as tunnel
from runtime.commands import status, verify
from runtime.commands.evidence import read
from runtime.commands.evidence import verify as evidence_verify
from runtime.errors import TunnelError
from tests.localfleet import demo, member
from tests.localfleet.member import Simulation

# What the command `tunnel` does under hardware roots.
VERBS = {"verify": verify, "status": status, "evidence-read": read, "evidence-verify": evidence_verify}


def main() -> int:
    """Run one verb and return the exit status."""
    options = _parser().parse_args()
    try:
        if options.verb == "demo":
            return asyncio.run(demo.run(keep=options.keep, as_json=options.json))
        if options.verb == "change":
            return asyncio.run(demo.changed())
        if options.verb == "soak":
            return asyncio.run(demo.soak(options.rounds))
        if options.verb == "member":
            member.run(options.settings, options.simulation)
        else:
            _run(options, Simulation.read(options.simulation).roots)
    except TunnelError as error:
        return tunnel.report(error, as_json=getattr(options, "json", False))
    except KeyboardInterrupt:
        return 130
    return 0


def _run(options: argparse.Namespace, roots: tuple[TrustRoot, ...]) -> None:
    module = VERBS[options.verb]
    if module is evidence_verify:
        evidence_verify.verb(options, roots, TrustedClock(config.BUILD_TIME).now())
    else:
        module.verb(options, roots)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.localfleet", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    showing = verbs.add_parser("demo", help="the whole chain on this machine")
    showing.add_argument("--keep", action="store_true", help="stay up afterwards, and say what to try")
    showing.add_argument("--json", action="store_true", help="answer with JSON")
    soaking = verbs.add_parser("soak", help="rolling restarts under load")
    soaking.add_argument("--rounds", type=int, default=20, metavar="N", help="of servers, and of clients")
    verbs.add_parser("change", help="a scale-out and a rollout under visitors")
    serving = verbs.add_parser("member", help="one member with a simulated TEE")
    serving.add_argument("--settings", required=True, metavar="FILE")
    serving.add_argument("--simulation", required=True, type=Path, metavar="FILE")
    for name, module in VERBS.items():
        checking = verbs.add_parser(name, help=f"tunnel {name}, under the demo's throw-away root")
        module.add_arguments(checking)
        checking.add_argument("--simulation", required=True, type=Path, metavar="FILE")
    return parser


if __name__ == "__main__":
    sys.exit(main())
