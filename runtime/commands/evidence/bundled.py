"""What evidence lacks, from the owner's bundle: verification where no network is. I/O: reads a file.

The rules are a member's own (`attestation/endorsements`): only what is missing is taken, nothing that has
ended, nothing that does not hold together. Who looked is told what did not come from the machine.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping

from runtime.attestation.endorsements import bundle
from runtime.attestation.endorsements.endorser import Endorser
from runtime.attestation.tees import Root
from runtime.attestation.wire import Evidence
from runtime.commands.evidence import files
from runtime.commands.evidence.files import Collected
from runtime.errors import UsageError

_DEADLINE_S = 60.0  # nothing is waited for: there is no network


def take(
    path: str | None,
    found: Collected | Evidence | None,
    extra: Mapping[str, bytes],
    roots: tuple[Root, ...],
    now: int,
) -> dict[str, bytes]:
    """Return the endorsements that neither evidence nor options have. Raises: UsageError, MalformedError."""
    if path is None:
        return {}
    if found is None:
        message = "--bundle wants FILE: single parts do not say which machine's endorsements they need"
        raise UsageError(message, hint="tunnel evidence collect, or read, with --out FILE makes one")
    own = found.evidence if isinstance(found, Collected) else found
    have = {**own.endorsements, **extra}
    held = bundle.read(files.load_up_to(path, bundle.MAX_BUNDLE_SIZE))
    endorser = Endorser(web=None, cache=None, now=lambda: now, roots=roots, bundle=held)
    bare = Evidence(format=own.format, parts=own.parts, endorsements=have)
    full, short = asyncio.run(endorser.complete(bare, deadline_s=_DEADLINE_S))
    for one in short:
        print(f"tunnel: not in the bundle: {one}", file=sys.stderr)
    return {name: value for name, value in full.endorsements.items() if name not in have}


def sentences(names: Mapping[str, bytes]) -> list[str]:
    """Say for people what did not come along; nothing if all did."""
    return [f"from the bundle, not from the machine: {', '.join(sorted(names))}"] if names else []
