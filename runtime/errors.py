"""Every error this runtime raises on purpose. Pure.

    TunnelError
    ├── UsageError              a command line or a settings file is wrong           exit 2
    │   └── DocumentError       a document is wrong: every problem, with its path    exit 2
    ├── MalformedError          bytes that are not what they claim to be             exit 10
    │   └── UnsupportedFormatError  evidence of a format that no verifier here knows     exit 20
    ├── EvidenceRefusedError    evidence was read, and refused: every failed check   exit 10
    ├── UnsupportedTeeError     no verifier or no attester for this platform         exit 20
    ├── UnreachableError        a name, a peer, an endorser or a URL did not answer  exit 30
    └── PeerError               the peer broke the protocol, or refused us           exit 10

Parsers raise `MalformedError` (or a subclass of `UsageError` for files people write) and nothing
else; whoever calls them needs no other `except`. Codes are stable: logs, tests, metrics and peers
share them, sentences are for people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar


def printable(text: str, *, keep: str = "") -> str:
    r"""Return the text with what a terminal would act on spelled out (\x1b, \n, \u202e), but `keep`."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in keep else each.encode("unicode_escape").decode()
        for each in text
    )


class TunnelError(Exception):
    """Anything that this program refuses or could not do, with a code and an exit status.

    Its sentences may repeat what a stranger wrote, into a certificate's name for one: none of it reaches a
    terminal as an order.
    """

    exit_status: ClassVar[int] = 1
    code: str = "internal"
    answer: Mapping[str, Any] | None = None  # what a command has to say beside it, as JSON values

    def __str__(self) -> str:
        return printable(super().__str__(), keep="\n")


class UsageError(TunnelError):
    """The person who runs the command, or wrote its file, has to change something."""

    exit_status = 2
    code = "usage"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a document: where, what, and what was wanted."""

    path: str  # JSON path: $.members[2].name
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class DocumentError(UsageError):
    """A document (settings, fleet, routes, manifest, configuration) has problems: all of them."""

    code = "document"

    def __init__(self, what: str, problems: list[Problem] | tuple[Problem, ...], *, hint: str = "") -> None:
        self.what = what
        self.problems = tuple(problems)
        super().__init__("\n  ".join([f"{what} is not valid:", *map(str, self.problems)]), hint=hint)

    def __reduce__(self) -> tuple[object, ...]:
        return (DocumentError, (self.what, self.problems))


class MalformedError(TunnelError):
    """Bytes that are not a well-formed instance of what they claim to be."""

    exit_status = 10
    code = "malformed"

    def __init__(self, what: str, detail: str, *, offset: int | None = None) -> None:
        self.what, self.detail, self.offset = what, detail, offset
        where = "" if offset is None else f" at byte {offset}"
        super().__init__(f"{what}{where}: {detail}")

    def __reduce__(self) -> tuple[object, ...]:
        return (_malformed, (self.what, self.detail, self.offset))


class UnsupportedFormatError(MalformedError):
    """Evidence says that it is of a format that nobody here knows: a newer one, or none at all."""

    exit_status = 20

    def __reduce__(self) -> tuple[object, ...]:
        return (_unsupported, (self.what, self.detail, self.offset))


def _unsupported(what: str, detail: str, offset: int | None) -> UnsupportedFormatError:
    return UnsupportedFormatError(what, detail, offset=offset)


def _malformed(what: str, detail: str, offset: int | None) -> MalformedError:
    return MalformedError(what, detail, offset=offset)


class UnsupportedTeeError(TunnelError):
    """There is no verifier, or no attester, for what was asked."""

    exit_status = 20
    code = "unsupported_tee"


class UnreachableError(TunnelError):
    """Something on the network did not answer in time, or answered with nothing usable."""

    exit_status = 30
    code = "unreachable"


class PeerError(TunnelError):
    """The peer broke the protocol or refused us; `code` says which, `remote` says who decided."""

    exit_status = 10

    def __init__(self, code: str, detail: str, *, remote: bool = False) -> None:
        self.code, self.detail, self.remote = code, detail, remote
        super().__init__(f"{code}: {detail}" + (" (said the peer)" if remote else ""))
