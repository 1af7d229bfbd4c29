"""`tunnel-fleet document`: read a fleet (or routes) document strictly, sign and publish it. I/O."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra import changes, clock, console, doubts, meaning, owner_key, publishing
from runtime.documents import dsse, fleet, routes, strict_json, times, weaknesses
from runtime.errors import DocumentError, Problem, TunnelError, UsageError, printable

_MARKS = {"loosens": "LOOSENS ", "tightens": "tightens", "changes": "changes "}
_SKEW_S = 300  # a peer refuses a document from further in the future


class DoubtsError(TunnelError):
    """The document is valid, and yet something in it refuses somebody, or does nothing."""

    exit_status = 2
    code = "doubts"
    answered = True  # they are the answer, in JSON too
    hint = "it can be signed so, and then does what this says"


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What --check, --diff and --explain found; each is empty if nobody asked."""

    summary: dict[str, Any]
    sentences: list[str]
    differences: tuple[changes.Change, ...]
    doubts: list[Problem]


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A document that was read without a problem."""

    what: str
    payload_type: str
    version: int
    file: str  # what it is called where it is published
    summary: dict[str, Any]


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser("document", help="check, sign and publish what the owner decides")
    parser.add_argument(
        "--in", dest="source", type=Path, required=True, metavar="FILE", help="the unsigned document"
    )
    parser.add_argument("--check", action="store_true", help="name all that is wrong or cannot work; exit 2")
    parser.add_argument("--diff", type=Path, metavar="FILE", help="what changes from that unsigned document")
    parser.add_argument("--explain", action="store_true", help="say in sentences what it accepts")
    parser.add_argument("--routes", action="store_true", help="it is a routes document")
    parser.add_argument("--sign", action="store_true", help="sign it; else it is only checked")
    parser.add_argument("--key", type=Path, metavar="FILE", help="the owner's key, mode 0600")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where the signed document goes")
    parser.add_argument(
        "--publish",
        action="append",
        default=[],
        metavar="DIR|URL",
        help="and a copy where its URLs point: a web server's folder, or https:// by PUT; more than once",
    )
    parser.add_argument(
        "--header-file",
        action="append",
        default=[],
        metavar="HOST=FILE",
        help="`Name: value` lines for PUTs to that URL's HOST[:PORT] alone, mode 0600; once for each host",
    )
    parser.add_argument(
        "--first",
        action="store_true",
        help="nothing is published yet at a URL that answers 401 or 403 to GET",
    )
    parser.add_argument(
        "--signed-by",
        action="append",
        default=[],
        metavar=owner_key.PUBLIC_FORM,
        help="another owner key, public, that may have signed what is published; when keys are rotated",
    )
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Check one document, and sign it if asked. Raises: UsageError, DocumentError, DoubtsError."""
    _check_arguments(arguments)
    payload = _bytes(arguments.source)
    looked = None
    if arguments.check or arguments.diff is not None or arguments.explain:
        looked = _look(arguments, payload)
        stops = bool(looked.doubts) or not arguments.sign
        if not arguments.json:
            console.answer(_text(arguments, looked))
        elif stops:
            console.answer_json(_json(looked))
        if looked.doubts:
            count = len(looked.doubts)
            message = f"the {fleet.WHAT} has {count} doubt{'s' if count > 1 else ''}"
            raise DoubtsError(message)
        if stops:
            return
    found = read_routes(payload) if arguments.routes else read_fleet(payload, clock.now())
    if arguments.sign:
        _sign(arguments, payload, found)
    if arguments.json:  # one answer, whatever was asked
        shown = {} if looked is None else _json(looked)
        console.answer_json({**shown, **found.summary, "signed": arguments.sign})
    else:
        console.answer(
            ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in found.summary.items())
        )


def _check_arguments(arguments: argparse.Namespace) -> None:
    """Refuse what does not go together. Raises: UsageError."""
    if len({arguments.sign, arguments.key is not None, arguments.out is not None}) > 1:
        message = "--sign, --key and --out go together"
        raise UsageError(message)
    if arguments.publish and not arguments.sign:
        message = "--publish without --sign: members accept signed documents only"
        raise UsageError(message)
    if (arguments.header_file or arguments.first or arguments.signed_by) and not arguments.publish:
        message = "--header-file, --first and --signed-by are about --publish, and there is none"
        raise UsageError(message)
    if arguments.routes and (arguments.check or arguments.diff is not None or arguments.explain):
        message = "--check, --diff and --explain are about fleet documents"
        raise UsageError(message)


def _look(arguments: argparse.Namespace, payload: bytes) -> Looked:
    """Return what --check, --diff and --explain have to say. Raises: DocumentError."""
    found = read_fleet(payload, clock.now()) if arguments.check else None
    document = fleet.read(payload)
    return Looked(
        summary={} if found is None else found.summary,
        sentences=meaning.explain(document) if arguments.explain else [],
        differences=() if arguments.diff is None else _differences(arguments.diff, payload),
        doubts=doubts.find(document) if arguments.check else [],
    )


def _text(arguments: argparse.Namespace, looked: Looked) -> str:
    lines = [f"{_MARKS[change.effect]} {change.text}" for change in looked.differences]
    if arguments.diff is not None and not lines:
        lines.append("the two documents say the same")
    # A reason or a name is words of whoever wrote the draft: none of it is a line of its own, or an order.
    shown = map(printable, [*looked.sentences, *lines, *map(str, looked.doubts)])
    return "\n".join(shown) or "nothing is wrong"


def _json(looked: Looked) -> dict[str, Any]:
    return {
        **looked.summary,
        "doubts": [{"path": doubt.path, "message": doubt.message} for doubt in looked.doubts],
        "changes": [
            {"path": change.path, "effect": change.effect, "text": change.text}
            for change in looked.differences
        ],
        "sentences": looked.sentences,
    }


def _differences(path: Path, payload: bytes) -> tuple[changes.Change, ...]:
    before = _bytes(path)
    try:
        fleet.read(before)
    except DocumentError as error:
        raise DocumentError(f"{fleet.WHAT} {path}", error.problems) from error
    return changes.changes(strict_json.parse(before, fleet.WHAT), strict_json.parse(payload, fleet.WHAT))


def read_fleet(payload: bytes, now: float) -> Read:
    """Read a fleet document that is to be used now. Raises: DocumentError with every problem."""
    document = fleet.read(payload)
    problems: list[Problem] = []
    if document.ended(int(now)):
        problems.append(Problem("$.expires_at", f"is {times.show(document.expires_at)}, which is past"))
    for name, values in document.reference_values.formats.items():
        problems += [
            Problem(
                f"$.reference_values.{name}.snp.products.{product}.opt_in",
                f"names {weakness!r}, which is no known attack on {product}: "
                f"want {', '.join(sorted(weaknesses.WEAKNESSES[product])) or 'none, it has no entry'}",
            )
            for product, weakness in ([] if values.snp is None else weaknesses.unknown(values.snp.products))
        ]
    if document.issued_at > now + _SKEW_S:
        problems.append(Problem("$.issued_at", f"is {times.show(document.issued_at)}, which is to come"))
    if problems:
        raise DocumentError(fleet.WHAT, problems)
    return Read(
        what=fleet.WHAT,
        payload_type=dsse.FLEET_TYPE,
        version=document.version,
        file="fleet.json",
        summary={
            "version": document.version,
            "purpose": document.purpose,
            "members": len(document.members),
            "expires_at": times.show(document.expires_at),
            "sha256": document.digest.hex(),
        },
    )


def read_routes(payload: bytes) -> Read:
    """Read a routes document. Raises: DocumentError with every problem."""
    document = routes.read(payload)
    return Read(
        what=routes.WHAT,
        payload_type=dsse.ROUTES_TYPE,
        version=document.version,
        file="routes.json",
        summary={"version": document.version, "routes": len(document.routes)},
    )


def _sign(arguments: argparse.Namespace, payload: bytes, found: Read) -> None:
    key = owner_key.load(arguments.key)
    public = key.public_key().public_bytes_raw()
    envelope = dsse.sign(payload, found.payload_type, key)
    headers = publishing.header_files(arguments.header_file)
    keys = (public, *map(owner_key.read_public, arguments.signed_by))
    targets = publishing.targets(arguments.publish, found.file, headers, first=arguments.first)
    for target in targets:  # all of them before any is written
        before = target.published()
        if before is not None:
            _check_succession(before, payload, found, keys)
    publishing.write(arguments.out, envelope)  # whatever is published, the owner has
    console.story(f"signed {arguments.out} with the key {public.hex()}")
    for target in targets:
        target.put(envelope)
        console.story(f"published {target}")


def _check_succession(published: bytes, payload: bytes, found: Read, keys: tuple[bytes, ...]) -> None:
    """Refuse what members would refuse: a version that does not rise above the published one."""
    try:
        before = dsse.open_envelope(published, found.payload_type, keys)
        version = routes.read(before).version if found.what == routes.WHAT else fleet.read(before).version
    except DocumentError as error:
        message = f"what is published cannot be compared with: {error}"
        hint = "signed with your other key? --signed-by HEX; is it another owner's? move it away"
        raise UsageError(message, hint=hint) from error
    if before != payload and found.version <= version:
        message = f"is {found.version}, want more than the published {version}"
        raise DocumentError(found.what, [Problem("$.version", message)])


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"{path}: {error.strerror}"
        raise UsageError(message) from error
