"""The command `tunnel`. I/O.

stdout carries the answer, stderr the story. Exit: 0 done or accepted, 1 our bug, 2 usage or settings,
10 evidence refused, 20 unsupported TEE, 30 something did not answer.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, NoReturn

from runtime import config, event_loop, logs
from runtime.attestation import explanation
from runtime.attestation.attester import Attester
from runtime.attestation.attester.choice import choose
from runtime.attestation.attester.machine import Machine
from runtime.attestation.endorsements.cache import Cache
from runtime.attestation.endorsements.endorser import EndorsedAttester, Endorser
from runtime.attestation.endorsements.published import PublishedBundle
from runtime.attestation.endorsements.web import HttpWeb
from runtime.attestation.findings import EvidenceRefusedError
from runtime.attestation.roots import HARDWARE_ROOTS
from runtime.clock import TrustedClock
from runtime.commands import config_check, endorsements, member, status, verify
from runtime.commands.evidence import collect, inspect, observe, read
from runtime.commands.evidence import verify as evidence_verify
from runtime.documents import settings as settings_document
from runtime.documents.settings import Settings
from runtime.errors import DocumentError, TunnelError, UsageError

ENDORSEMENTS = Path("/run/tunnel/endorsements")  # tmpfs: it lasts as long as the boot


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run the command and return its exit status."""
    as_json = "--json" in arguments
    try:
        options = _parser().parse_args(arguments)
        as_json = getattr(options, "json", False)
        options.verb(options)
    except TunnelError as error:
        return report(error, as_json=as_json)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if as_json:  # the traceback is for us, the answer is for whoever reads stdout
            report(error, as_json=True)
        raise
    return 0


def report(error: BaseException, *, as_json: bool) -> int:
    """Say what is wrong and what to do next; returns the exit status.

    As JSON it is the one document on stdout: with what the verb answered, if it had an answer all the same.
    """
    status = error.exit_status if isinstance(error, TunnelError) else 1
    code = error.code if isinstance(error, TunnelError) else "internal"
    hint = getattr(error, "hint", "")
    if as_json:
        answer: dict[str, Any] = {"ok": False, "code": code, "error": str(error)}
        if isinstance(error, DocumentError):
            answer["problems"] = [{"path": p.path, "message": p.message} for p in error.problems]
        said = error.answer if isinstance(error, TunnelError) else None
        if said is not None:
            answer |= said
        elif isinstance(error, EvidenceRefusedError):
            answer["appraisal"] = explanation.refused(error)
        print(json.dumps(answer | ({"hint": hint} if hint else {}), indent=2))
    print(f"tunnel: {error}", file=sys.stderr)
    if hint:
        print(f"hint: {hint}", file=sys.stderr)
    return status


def run_until_done(
    work: Coroutine[Any, Any, None], factory: Callable[[], asyncio.AbstractEventLoop] | None = None
) -> None:
    """Run `work`; the first of our own errors inside an exception group is the one that counts.

    `factory` makes the event loop, None the standard one.
    """
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(work)
    except BaseExceptionGroup as group:
        ours = group.subgroup(TunnelError)
        if ours is None:
            raise
        first: BaseException = ours
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from group
    except asyncio.CancelledError:
        return


def read_settings(path: str) -> Settings:
    """Read a settings file. Raises: UsageError."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        message = f"the settings cannot be read: {error}"
        raise UsageError(message, hint="--settings takes the very file the VM boots with") from error
    return settings_document.read(data)


def _member(role: str | None) -> Callable[[argparse.Namespace], None]:
    def verb(options: argparse.Namespace) -> None:
        found = read_settings(options.settings)
        if role is not None and found.role_name != role:
            message = f"these are a {found.role_name}'s settings"
            raise UsageError(message, hint=f"run: tunnel {found.role_name} --settings {options.settings}")
        attester = _endorsed(choose(Machine()), found)
        logs.to_stderr()
        with contextlib.suppress(KeyboardInterrupt):
            parts = member.Parts(attester=attester, roots=HARDWARE_ROOTS)
            run_until_done(member.run(found, parts), event_loop.factory())

    return verb


def _endorsed(attester: Attester, settings: Settings) -> EndorsedAttester:
    """Have the machine's evidence bring its endorsements along."""
    clock = TrustedClock(config.BUILD_TIME)
    web = HttpWeb(wall=clock.now)
    endorser = Endorser(web=web, cache=Cache(ENDORSEMENTS), now=clock.now, roots=HARDWARE_ROOTS)
    return EndorsedAttester(attester, endorser, PublishedBundle(settings.endorsements_urls))


class _Parser(argparse.ArgumentParser):
    """A command line that is wrong is an error like any other: with a status, a hint, and as JSON."""

    def error(self, message: str) -> NoReturn:
        """Raises: UsageError."""
        raise UsageError(message, hint=f"{self.prog} --help says what it takes")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="tunnel", description="an attested tunnel: serve, publish, verify")
    parser.add_argument("--version", action="version", version=f"tunnel {config.VERSION}")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for role, what in (
        ("server", "take visitors and relay them to tunnel clients"),
        ("client", "publish an origin"),
        ("member", "be what the settings say: what an image runs"),
    ):
        verb = verbs.add_parser(role, help=what, description=what)
        verb.add_argument("--settings", required=True, metavar="FILE", help="the member's boot settings")
        verb.set_defaults(verb=_member(None if role == "member" else role))
    checking = verbs.add_parser(
        "verify", help="attest one tunnel server from outside", description=verify.ABOUT
    )
    verify.add_arguments(checking)
    checking.set_defaults(verb=lambda options: verify.verb(options, HARDWARE_ROOTS))
    telling = verbs.add_parser(
        "status", help="ask a member, as its owner, how it is", description=status.ABOUT
    )
    status.add_arguments(telling)
    telling.set_defaults(verb=lambda options: status.verb(options, HARDWARE_ROOTS))
    endorsing = verbs.add_parser(
        "endorsements",
        help="what endorsers say of a fleet's machines, in one file",
        description=endorsements.ABOUT,
    )
    endorsements.add_arguments(endorsing)
    endorsing.set_defaults(verb=_endorsements)
    _evidence(verbs.add_parser("evidence", help="evidence of a member"))
    _config(verbs.add_parser("config", help="a member's files"))
    return parser


def _now() -> int:
    return TrustedClock(config.BUILD_TIME).now()


def _web() -> HttpWeb:
    return HttpWeb(wall=TrustedClock(config.BUILD_TIME).now)


def _collect(options: argparse.Namespace) -> None:
    now = TrustedClock(config.BUILD_TIME).now
    endorser = Endorser(web=_web(), cache=Cache(ENDORSEMENTS), now=now, roots=HARDWARE_ROOTS)
    collect.verb(options, EndorsedAttester(choose(Machine()), endorser, PublishedBundle(())), _now())


def _verify_evidence(options: argparse.Namespace) -> None:
    evidence_verify.verb(options, HARDWARE_ROOTS, _now())


def _observe(options: argparse.Namespace) -> None:
    observe.verb(options, HARDWARE_ROOTS, _now())


def _endorsements(options: argparse.Namespace) -> None:
    if options.endorsements_verb == "bundle":
        endorsements.make(options, _web(), HARDWARE_ROOTS, _now())
    else:
        endorsements.check(options, HARDWARE_ROOTS, _now())


def _config(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    checking = verbs.add_parser(
        "check", help="everything that is wrong with them, at once", description=config_check.ABOUT
    )
    config_check.add_arguments(checking)
    checking.set_defaults(verb=config_check.verb)


def _evidence(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for name, words, module, run in (
        ("collect", "this machine's evidence, into a file", collect, _collect),
        ("inspect", "show what evidence says, unverified", inspect, inspect.verb),
        (
            "verify",
            "say who vouches for what, and whether the owner accepts it",
            evidence_verify,
            _verify_evidence,
        ),
        ("observe", "show a new platform's values for the owner to sign", observe, _observe),
    ):
        verb = verbs.add_parser(name, help=words, description=module.ABOUT)
        module.add_arguments(verb)
        verb.set_defaults(verb=run)
    reading = verbs.add_parser(
        "read", help="fresh evidence of a member, appraised here", description=read.ABOUT
    )
    read.add_arguments(reading)
    reading.set_defaults(verb=lambda options: read.verb(options, HARDWARE_ROOTS))


if __name__ == "__main__":
    main()
