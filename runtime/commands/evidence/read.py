"""`tunnel evidence read MEMBER`: fresh evidence of one member, appraised on the owner's own machine. I/O.

The evidence is made for this very connection and held against the signed document that the owner has at
hand; nothing that the member, or a server in between, says about it counts. With `--out` what was accepted is
written as a file that the other verbs read, and `tunnel endorsements bundle`.
"""

from __future__ import annotations

import argparse
import sys
from hashlib import sha256

from runtime.attestation import explanation, wire
from runtime.attestation.tees import Root
from runtime.commands import answers, owner
from runtime.commands.evidence import files
from runtime.commands.evidence.files import Collected
from runtime.tunnel.owner_reach import Visit

ABOUT = """
Asks one member, as its owner, for fresh evidence and appraises it on this machine, against the signed
document at hand. Nothing that the member, or a server in between, says about it counts. With --out what was
accepted is written into a file for the other verbs and for `tunnel endorsements bundle`.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    owner.add_arguments(parser)
    parser.add_argument("--out", metavar="FILE", help="write the evidence into a new file as well")


def verb(options: argparse.Namespace, roots: tuple[Root, ...]) -> None:
    """Run the verb. Raises: TunnelError."""
    if options.out is not None:
        files.want_new(options.out)

    seen: list[Visit] = []

    async def keep(visit: Visit) -> None:
        seen.append(visit)

    owner.run(options, roots, keep)
    visit = seen[-1]  # of the server that was reached last: one before it broke off
    warning = owner.says_version(visit, visit.peer.document_version)
    written = None if options.out is None else _write(options.out, visit)
    answers.give(
        _answer(visit, warning, written),
        [f"{owner.way(visit)} is " + "\n".join(explanation.sentences(visit.peer))],
        as_json=options.json,
    )
    if warning:
        print(f"warning: {warning}", file=sys.stderr)
    if written is not None:
        print(f"tunnel: evidence in {written['path']}, SHA-256 {written['sha256']}", file=sys.stderr)
    print(
        f"tunnel: {visit.peer.member}, reached by {owner.way(visit)}, is attested, grade {visit.peer.grade}",
        file=sys.stderr,
    )


def _write(path: str, visit: Visit) -> dict[str, str]:
    """Write what the member showed, and say what was written. Raises: UsageError."""
    shown = visit.shown
    data = files.write(Collected(evidence=wire.decode(shown.evidence), bound=shown.bound))
    files.save(path, data)
    nonce = shown.bound.verifier_nonce.hex()
    return {"path": path, "sha256": sha256(data).hexdigest(), "nonce": nonce}


def _answer(visit: Visit, warning: str, written: dict[str, str] | None) -> dict[str, object]:
    through = visit.through
    return {
        "address": visit.address,
        "through": None if through is None else {"member": through.member, "grade": through.grade},
        "member_document": {
            "version": visit.peer_hello.document_version,
            "sha256": visit.peer_hello.document_digest.hex(),
        },
        **explanation.accepted(visit.peer),
        **({} if written is None else {"file": written}),
        **({"warning": warning} if warning else {}),
    }
