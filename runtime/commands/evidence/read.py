"""`tunnel evidence read MEMBER`: fresh evidence of one member, appraised on the owner's own machine. I/O.

The evidence is made for this very connection and held against the signed document that the owner has at hand;
nothing that the member, or a server in between, says about it counts.
"""

from __future__ import annotations

import argparse
import json
import sys

from runtime.attestation import explanation
from runtime.attestation.tees import Root
from runtime.commands import owner
from runtime.tunnel.owner_reach import Visit

add_arguments = owner.add_arguments


def verb(options: argparse.Namespace, roots: tuple[Root, ...]) -> None:
    """Run the verb. Raises: TunnelError."""

    async def show(visit: Visit) -> None:
        warning = owner.says_version(visit, visit.peer.document_version)
        if options.json:
            print(json.dumps(_answer(visit, warning), indent=2))
        else:
            print(f"{owner.way(visit)} is " + "\n".join(explanation.sentences(visit.peer)))
        if warning:
            print(f"warning: {warning}", file=sys.stderr)
        print(
            f"tunnel: {visit.peer.member}, reached by {owner.way(visit)}, is attested, "
            f"grade {visit.peer.grade}",
            file=sys.stderr,
        )

    owner.run(options, roots, show)


def _answer(visit: Visit, warning: str) -> dict[str, object]:
    through = visit.through
    return {
        "ok": True,
        "address": visit.address,
        "through": None if through is None else {"member": through.member, "grade": through.grade},
        "member_document": {
            "version": visit.peer_hello.document_version,
            "sha256": visit.peer_hello.document_digest.hex(),
        },
        **explanation.accepted(visit.peer),
        **({"warning": warning} if warning else {}),
    }
