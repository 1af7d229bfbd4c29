"""`tunnel config check`: everything that is wrong with a member's files, at once, before it boots. I/O.

Exit 0 when all of them are valid, 2 with every problem of every file. Nothing is fetched.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runtime.channel.boot_key import BootKey
from runtime.commands import answers
from runtime.config import BUILD_TIME
from runtime.documents import dsse, fleet, routes, settings
from runtime.documents.settings import ClientSettings, Settings
from runtime.errors import DocumentError, Problem, TunnelError
from runtime.tunnel.client import origins

ABOUT = """
Says everything that is wrong with a member's files, at once, before it boots. The exit status is 0 when all
of them are valid, 2 with every problem of every file. Nothing is fetched.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `verb` reads."""
    parser.add_argument("--settings", required=True, metavar="FILE", help="the member's boot settings")
    parser.add_argument("--routes", metavar="FILE", help="a tunnel client's routes, not signed")
    parser.add_argument("--document", metavar="FILE", help="the fleet document, as signed (an envelope)")
    parser.add_argument("--json", action="store_true", help="answer with JSON")


def verb(options: argparse.Namespace) -> None:
    """Check and answer. Raises: DocumentError with every problem; its paths begin with the file's part."""
    problems: list[Problem] = []
    found = _part("settings", options.settings, settings.read, problems)
    if options.routes is not None:
        _part("routes", options.routes, _read_routes, problems)
        if found is not None and not isinstance(found.role, ClientSettings):
            problems.append(Problem("routes", "a tunnel server has none"))
    if options.document is not None and found is not None:
        document = _part("document", options.document, lambda data: _read_document(data, found), problems)
        if document is not None:
            problems += _fits(found, document)
    if problems:
        raise DocumentError(
            "configuration",
            problems,
            hint="docs/operations.md has every limit, runtime/documents/schemas every setting",
        )
    answer: dict[str, Any] = {}
    if found is not None:
        answer |= {"member": found.member, "role": found.role_name, "settings_sha256": found.digest.hex()}
    said = f"valid: {answer.get('role')} {answer.get('member')}, settings {answer.get('settings_sha256')}"
    answers.give(answer, [said], as_json=options.json)


def _part(what: str, path: str, read: Callable[[bytes], Any], problems: list[Problem]) -> Any:
    """Read one file; what is wrong is added, each with the file's part before its path."""
    try:
        return read(Path(path).read_bytes())
    except OSError as error:
        problems.append(Problem(what, f"cannot be read: {error}"))
    except DocumentError as error:
        problems += [
            Problem(what + problem.path.removeprefix("$"), problem.message) for problem in error.problems
        ]
    except TunnelError as error:
        problems.append(Problem(what, str(error)))
    return None


def _read_routes(data: bytes) -> routes.Routes:
    found = routes.read(data)
    origins(found, _at_boot)  # certificates and keys have to load, too
    return found


def _at_boot(hostname: str) -> tuple[bytes, bytes]:
    """Stand for the key that only a running client has; nobody ever sees this one."""
    throwaway = BootKey.create("config check", BUILD_TIME).for_site(hostname, BUILD_TIME)
    return throwaway.certificate_pem.encode(), throwaway.key_pem.encode()


def _read_document(data: bytes, of: Settings) -> fleet.FleetDocument:
    return fleet.read(dsse.open_envelope(data, dsse.FLEET_TYPE, of.owner_keys))


def _fits(of: Settings, document: fleet.FleetDocument) -> list[Problem]:
    """Say what would keep this member out under this document."""
    problems: list[Problem] = []
    for path, got, want in (
        ("document.fleet", document.fleet, of.fleet),
        ("document.tunnel_name", document.tunnel_name, of.tunnel_name),
    ):
        if got != want:
            problems.append(Problem(path, f'is "{got}", the settings say "{want}"'))
    if document.version < of.document_min_version:
        least = of.document_min_version
        problems.append(
            Problem("document.version", f"is {document.version}, the settings want at least {least}")
        )
    member = document.member_by_settings(of.digest)
    if member is None:
        problems.append(Problem("document.members", f"no member has settings_sha256 {of.digest.hex()}"))
    elif (member.name, member.role) != (of.member, of.role_name):
        problems.append(
            Problem(
                "document.members", f"these settings are of {member.role} {member.name}, want {of.member}"
            )
        )
    return problems
