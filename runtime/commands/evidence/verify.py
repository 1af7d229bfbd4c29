"""`tunnel evidence verify`: is it true, who vouches for what, and does the owner accept it? I/O: reads files.

With `--document` the evidence of one machine is appraised as a peer would: accepted, or every failed check.
Without one, or for single parts (`--part NAME=FILE`), each part is examined by itself, and the answer says
what nobody proved: it is never an acceptance. What the evidence has to answer is the caller's to state:
`--nonce` for evidence that `collect` made, `--report-data` for a bare report. No network is asked:
endorsements that the evidence lacks come from `--bundle`, or are missing.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import Any

from runtime.attestation import explanation, verifier, wire
from runtime.attestation.binding import tied_qualifying, tpm_qualifying
from runtime.attestation.findings import Check, EvidenceRefusedError, Findings, Reason
from runtime.attestation.tees import Root
from runtime.attestation.verifier import AppraisalRequest
from runtime.attestation.wire import Evidence
from runtime.channel.handshake import MAX_SKEW_S
from runtime.commands import answers
from runtime.commands.evidence import bundled, examine, files, inspect
from runtime.commands.evidence.examination import Challenge, Examination
from runtime.commands.evidence.files import Collected
from runtime.documents import dsse, fleet, times
from runtime.documents.fleet import FleetDocument
from runtime.errors import UsageError
from runtime.keys import owner_key

ABOUT = """
Is this evidence true, who vouches for what, and does the owner accept it? With --document the evidence of
one machine is appraised as a peer would: accepted, or every failed check. Without, and for single parts,
each part is examined by itself, and the answer says what nobody proved: it is never an acceptance. What the
evidence has to answer is yours to state: --nonce for what `tunnel evidence collect` made, --report-data for
a bare report. No network is asked: give endorsements that did not come along with --endorsement or
--bundle.
"""
# Checks that fail because something did not come along -> the endorsement that it is.
_MISSING = {f"endorsements.{name}": name for name in files.ENDORSEMENTS} | {
    "endorsements.collateral": "tdx_collateral",
    "snp.revocation": "crl",
}


def _list(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help="what `tunnel evidence collect` or `read` wrote, bare evidence, or a single report, quote or "
        "document",
    )
    parser.add_argument(
        "--part",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help=f"one part of evidence, as often as there are parts; NAME is one of {_list(files.PARTS)}",
    )
    parser.add_argument(
        "--endorsement",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="what an endorser says of it, as often as needed: a certificate in DER or PEM, a list in DER, "
        "Intel's nine parts as one JSON object (tdx_collateral); "
        f"NAME is one of {_list(files.ENDORSEMENTS)}",
    )
    parser.add_argument(
        "--bundle", metavar="FILE", help="take what it lacks from there (tunnel endorsements bundle)"
    )
    parser.add_argument("--document", metavar="FILE", help="the signed fleet document: appraise against it")
    parser.add_argument(
        "--owner-key",
        action="append",
        default=[],
        metavar=owner_key.PUBLIC_FORM,
        help=owner_key.PUBLIC_HELP,
    )
    parser.add_argument("--role", choices=["server", "client"], help="the role in which the machine acts")
    parser.add_argument(
        "--nonce", metavar="HEX", help="the nonce that you gave: the evidence has to answer it"
    )
    parser.add_argument("--report-data", metavar="HEX", help="64 bytes that a bare report has to carry")
    parser.add_argument(
        "--at",
        metavar="TIME",
        help="examine as of then (2026-01-31T00:00:00Z): for old evidence, no document",
    )
    parser.add_argument("--json", action="store_true", help="answer with JSON")


def verb(options: argparse.Namespace, roots: tuple[Root, ...], now: int) -> None:
    """Run the verb. `now`: Unix seconds. Raises: TunnelError."""
    if (options.file is None) == (not options.part):
        message = "want either FILE or --part NAME=FILE"
        raise UsageError(message, hint="tunnel evidence collect, or read, with --out FILE makes one")
    found, parts = _given(options)
    extra = files.named(options.endorsement, files.ENDORSEMENTS, "--endorsement")
    at = now if options.at is None else _time(options.at)
    filled = bundled.take(options.bundle, found, extra, roots, at)
    if options.document is not None:
        _appraise(options, found, parts, filled, extra, roots, now)
        return
    extra |= filled
    if isinstance(found, Collected):
        endorsements = dict(found.evidence.endorsements)
        challenge = _of_file(options, found)
    else:
        endorsements = {} if found is None else dict(found.endorsements)
        challenge = _stated(options)
    out = examine.examine(parts, endorsements | extra, roots, challenge, at)
    out.findings.checks = [_with_option(check) for check in out.findings.checks]
    if isinstance(found, Collected) and options.nonce is None:
        out.not_proven.append("that it is fresh: the nonce is the file's own; state yours with --nonce")
    lacking = files.missing_for_members(parts)
    as_of = None if options.at is None else at
    failed = out.findings.failed()
    answers.give(
        answer(out, lacking, filled, at),
        [*bundled.sentences(filled), *sentences(out, parts, lacking, as_of)],
        as_json=options.json,
        refusal=EvidenceRefusedError(failed) if failed else None,
    )


def _given(options: argparse.Namespace) -> tuple[Collected | Evidence | None, dict[str, bytes]]:
    """Return evidence, if it is a whole of it that was given, and the parts. Raises: TunnelError."""
    if options.file is None:
        return None, files.named(options.part, files.PARTS, "--part")
    data = files.load(options.file)
    name = inspect.single(data)
    if name is not None:
        print(f"tunnel: {options.file} looks like --part {name}=FILE, and is taken for that", file=sys.stderr)
        return None, {name: data}
    found = files.read(data)
    return found, dict((found.evidence if isinstance(found, Collected) else found).parts)


def _with_option(check: Check) -> Check:
    """Say for an endorsement that is missing how to give it here: a peer can only have it sent."""
    name = _MISSING.get(check.id)
    if name is None:
        return check
    more = "; evidence in a FILE may have it from --bundle FILE"
    return replace(check, remedy=f"give it with --endorsement {name}=FILE{more}")


def _appraise(
    options: argparse.Namespace,
    found: Collected | Evidence | None,
    parts: dict[str, bytes],
    filled: dict[str, bytes],
    extra: dict[str, bytes],
    roots: tuple[Root, ...],
    now: int,
) -> None:
    if options.at is not None:
        message = "--at is for examining old evidence: a document judges now"
        raise UsageError(message)
    if not options.owner_key or options.role is None:
        message = "--document wants --owner-key and --role as well"
        raise UsageError(message, hint="tunnel-fleet key new prints the owner's key")
    keys = tuple(map(owner_key.read_public, options.owner_key))
    payload = dsse.open_envelope(files.load(options.document), dsse.FLEET_TYPE, keys)
    document = fleet.read(payload)
    if not isinstance(found, Collected):
        _refuse_parts(parts)
        return
    _check_nonce(options.nonce, found)
    evidence = Evidence(
        format=found.evidence.format,
        parts=found.evidence.parts,
        endorsements={**found.evidence.endorsements, **filled, **extra},
    )
    request = AppraisalRequest(
        evidence=wire.encode(evidence),
        binder=found.bound.binder,
        settings_digest=found.bound.settings_digest,
        role=options.role,
        document=payload,
        roots=roots,
        now=_time_for(document, now),
    )
    try:
        result = verifier.appraise(request)
    except EvidenceRefusedError as error:
        raise EvidenceRefusedError(map(_with_option, error.checks)) from error
    fresh = options.nonce is not None
    stale = "  not proven: that it is fresh: the nonce is the file's own; state yours with --nonce"
    answers.give(
        {"fresh": fresh, "from_bundle": sorted(filled), **explanation.accepted(result)},
        [
            *bundled.sentences(filled),
            *explanation.sentences(result),
            *([] if fresh else [stale]),
        ],
        as_json=options.json,
    )
    print(f"tunnel: accepted as {result.member}, grade {result.grade}", file=sys.stderr)


def _time_for(document: FleetDocument, now: int) -> int:
    """Return the time that peers would appraise at: their clocks may be a little behind the owner's.

    A document whose time is further ahead is of the future here as well: nobody's clock is that wrong unseen.
    """
    ahead = document.issued_at - now
    return document.issued_at if 0 < ahead <= MAX_SKEW_S else now


def _refuse_parts(have: dict[str, bytes]) -> None:
    """A member shows all parts of one format over one challenge; anything less is nobody's. Always raises."""
    findings = Findings()
    findings.require(
        False,  # noqa: FBT003 - there is nothing that could be appraised
        "evidence.challenge",
        Reason.BINDING,
        expected="evidence with its challenge, as `tunnel evidence collect` and `read` write it",
        actual="; ".join(files.missing_for_members(have)) or "evidence without its challenge",
        source="the file",
        remedy="collect it on the machine; leave --document out to examine single parts",
    )
    findings.settle()


def _check_nonce(text: str | None, found: Collected) -> None:
    if text is None:
        return
    wanted = files.sized(text, 32, "--nonce")
    findings = Findings()
    findings.require(
        found.bound.verifier_nonce == wanted,
        "evidence.nonce",
        Reason.BINDING,
        expected=wanted.hex(),
        actual=found.bound.verifier_nonce.hex(),
        source="the file",
        remedy="this evidence answers another challenge: collect it again, with your nonce",
    )
    findings.settle()


def _of_file(options: argparse.Namespace, found: Collected) -> Challenge:
    """The binder follows from the file; whether its nonce is ours is looked at first."""
    if options.report_data is not None:
        message = "--report-data is for bare reports: what this file answers follows from its nonce"
        raise UsageError(message)
    _check_nonce(options.nonce, found)
    return Challenge(report_data=found.bound.binder, nonce=_second(found.evidence, found.bound.binder))


def _second(evidence: Evidence, binder: bytes) -> bytes | None:
    """What the part beside the report carries (docs/protocol.md, section 5); None: nothing."""
    parts = evidence.parts
    if evidence.format in {"azure-snp", "azure-tdx", "qemu-tpm"}:
        return tpm_qualifying(binder)
    if evidence.format in {"gcp-snp", "gcp-tdx", "aws-snp-nitrotpm"}:
        return tied_qualifying(binder, parts["snp_report"] if "snp_report" in parts else parts["td_quote"])
    return b"" if evidence.format == "aws-nitrotpm" else None


def _stated(options: argparse.Namespace) -> Challenge:
    """What the caller says that bare parts were asked for."""
    return Challenge(
        report_data=None
        if options.report_data is None
        else files.sized(options.report_data, 64, "--report-data"),
        nonce=None if options.nonce is None else _any_size(options.nonce),
    )


def _any_size(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        message = "--nonce wants hexadecimal digits"
        raise UsageError(message) from error


def _time(text: str) -> int:
    try:
        return times.parse(text)
    except ValueError as error:
        message = f"--at {text}: want a time like 2026-01-31T00:00:00Z"
        raise UsageError(message) from error


def answer(out: Examination, lacking: list[str], filled: dict[str, bytes], at: int) -> dict[str, Any]:
    """Return what an examination came to, as JSON values (examination.schema.json)."""
    return {
        "schema": "tunnel-examination/1",
        "verdict": "refused" if out.findings.failed() else "true_and_not_appraised",
        "examined_as_of": times.show(at),
        "best_grade": out.grade,
        "why": out.why,
        "statements": [
            {"claim": row.claim, "value": row.value, "measured_by": row.measured_by} for row in out.statements
        ],
        "checks": explanation.refused(EvidenceRefusedError(out.findings.failed()))["checks"],
        "not_proven": list(out.not_proven),
        "missing_for_a_member": lacking,
        "from_bundle": sorted(filled),
    }


def sentences(out: Examination, parts: dict[str, bytes], lacking: list[str], as_of: int | None) -> list[str]:
    """Return it for people, one statement a line."""
    width = max((len(row.claim) for row in out.statements), default=0)
    when = "now" if as_of is None else f"as of {times.show(as_of)}, which says nothing about today"
    lines = [f"examined {when}: {files.items(parts)}"]
    lines += [
        f"  {row.claim:<{width}}  {row.value}  (according to {row.measured_by})" for row in out.statements
    ]
    lines.append(f"best grade: {out.grade}: {out.why}")
    lines += [f"  not proven: {what}" for what in out.not_proven]
    lines += [f"  no member's evidence: {what}" for what in lacking]
    lines.append("accepted by nobody: no fleet document was applied")
    return lines
