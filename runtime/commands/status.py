"""`tunnel status MEMBER`: what a member says of itself, after it attested to the owner. I/O.

Who answers is proven; what it says is the word of the code that attested.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from runtime.attestation.tees import Root
from runtime.commands import answers, owner
from runtime.documents import times
from runtime.tunnel.owner_reach import Visit, ask_status

ABOUT = """
Asks a member, as its owner, how it is. Who answers is proven; what it says is the word of the code that
attested.
"""


add_arguments = owner.add_arguments


def verb(options: argparse.Namespace, roots: tuple[Root, ...]) -> None:
    """Run the verb. Raises: TunnelError."""
    told: list[tuple[Visit, dict[str, Any]]] = []

    async def ask(visit: Visit) -> None:
        told.append((visit, await ask_status(visit.channel)))

    owner.run(options, roots, ask)
    visit, status = told[-1]  # of the server that was reached last: one before it broke off
    through, warning = visit.through, owner.says_version(visit, visit.peer.document_version)
    answers.give(
        {
            "address": visit.address,
            "through": None if through is None else {"member": through.member, "grade": through.grade},
            "grade": visit.peer.grade,
            "status": status,
            **({"warning": warning} if warning else {}),
        },
        sentences(owner.way(visit), visit.peer.grade, status),
        as_json=options.json,
    )
    if warning:
        print(f"warning: {warning}", file=sys.stderr)


def sentences(way: str, grade: str, status: dict[str, Any]) -> list[str]:
    """Return the status for people; what a newer member says beyond this is in `--json`."""
    lines = [
        f"{status.get('member')} ({status.get('role')}), grade {grade}, reached by {way}",
        f"  up {_duration(status.get('uptime_s'))}, {_versions(status.get('versions'))}",
        f"  {_document(status.get('fleet_document'))}",
        f"  {status.get('streams', '?')} streams open",
    ]
    sessions = status.get("sessions")
    listed = sessions if isinstance(sessions, list) else []
    lines.append(f"  {len(listed)} sessions")
    lines += [_session(session) for session in listed if isinstance(session, dict)]
    return lines


def _session(session: dict[str, Any]) -> str:
    granted = ", ".join(map(str, session.get("granted") or [])) or "nothing granted"
    who = session.get("member") or f"nobody yet ({session.get('state')}: {session.get('last_error')})"
    age = _duration(session.get("age_s"))
    return f"    {who} at {session.get('address')}, grade {session.get('grade')}, {age} old: {granted}"


def _document(document: Any) -> str:
    if not isinstance(document, dict) or "version" not in document:
        return f"no fleet document in force: {document}"
    ends = document.get("expires_at")
    until = times.show(ends) if isinstance(ends, int) else "?"
    return f"fleet document {document['version']} ({str(document.get('sha256'))[:16]}…) until {until}"


def _versions(versions: Any) -> str:
    items = versions.items() if isinstance(versions, dict) else ()
    return ", ".join(f"{name} {value}" for name, value in items) or "no versions said"


def _duration(seconds: Any) -> str:
    if not isinstance(seconds, int | float):
        return "?"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
