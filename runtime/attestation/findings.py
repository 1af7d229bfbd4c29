"""Failed checks: what was wanted, what was found, who vouches for that, what to do; and the refusal. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from runtime.errors import MalformedError, TunnelError, printable

T = TypeVar("T")


class Reason(StrEnum):
    """Why a check fails: what code, tests, logs and metrics share. Sentences are for people."""

    MALFORMED = "malformed"
    DOCUMENT = "document"
    MEMBER = "member"
    ROLE = "role"
    INSTANCE = "instance"
    SETTINGS = "settings"
    BINDING = "binding"
    CHAIN = "chain"
    SIGNATURE = "signature"
    EXPIRED = "expired"
    REVOKED = "revoked"
    REVOCATION_UNKNOWN = "revocation_unknown"
    CHIP_ID = "chip_id"
    CSP_ID = "csp_id"
    TCB = "tcb"
    PRODUCT = "product"
    KNOWN_WEAK = "known_weak"
    VERSION = "version"
    SIGNER = "signer"
    DEBUG = "debug"
    MIGRATION = "migration"
    VMPL = "vmpl"
    GUEST_POLICY = "guest_policy"
    PLATFORM = "platform"
    GUEST_SVN = "guest_svn"
    SIGNING_KEYS = "signing_keys"
    MITIGATIONS = "mitigations"
    MEASUREMENT = "measurement"
    IMAGE = "image"
    REGION = "region"
    EVENT_LOG = "event_log"
    GRADE = "grade"
    PURPOSE = "purpose"


Text = str | Callable[[], str]  # a sentence, or how to make one: most are never asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that did not hold: what was wanted, what was found, who vouches for what was found."""

    id: str
    reason: Reason
    expected: str
    actual: str
    source: str
    remedy: str


@dataclass(slots=True)
class Findings:
    """Collects the checks that fail, so that a refusal names every one of them and not only the first.

    What holds leaves no trace: an appraisal makes up to fifty checks, and a record of each took 2 us.
    """

    checks: list[Check] = field(default_factory=list)

    def require(  # the fields of a Check, one by one, so that no call can leave one out
        self,
        ok: bool,  # noqa: FBT001 - what is required reads best first
        check: str,
        reason: Reason,
        *,
        expected: Text,
        actual: Text,
        source: Text,
        remedy: str,
    ) -> bool:
        """Note one check if it fails; returns `ok` for the steps that make sense only after it."""
        if not ok:
            texts = {"expected": _said(expected), "actual": _said(actual), "source": _said(source)}
            self.checks.append(Check(id=check, reason=reason, remedy=remedy, **texts))
        return ok

    def failed(self) -> tuple[Check, ...]:
        """Return the failed checks, in order."""
        return tuple(self.checks)

    def settle(self) -> None:
        """Raises: EvidenceRefusedError if any check failed."""
        if failed := self.failed():
            raise EvidenceRefusedError(failed)

    def held(self, value: T | None) -> T:
        """Settle, and return what the checks were about. Raises: EvidenceRefusedError, MalformedError.

        What is missing has left a failed check; should that have been forgotten, this refuses all the same.
        """
        self.settle()
        if value is None:
            raise MalformedError("evidence", "has a part that did not hold")
        return value


def _said(text: Text) -> str:
    # On one line, whatever a stranger's certificate says: a refusal is read line by line.
    return printable(text if isinstance(text, str) else text())


class EvidenceRefusedError(TunnelError):
    """Evidence was read and is refused: every failed check of the stage that refused it."""

    exit_status = 10
    code = "evidence_refused"

    def __init__(self, checks: Iterable[Check]) -> None:
        self.checks = tuple(checks)
        super().__init__("evidence refused\n" + "\n".join(explain(self.checks)))

    @property
    def reasons(self) -> frozenset[Reason]:
        """Why, without the sentences."""
        return frozenset(check.reason for check in self.checks)

    def __reduce__(self) -> tuple[object, ...]:
        return (EvidenceRefusedError, (self.checks,))


def explain(checks: Iterable[Check]) -> list[str]:
    """Return one aligned line per check."""
    rows = list(checks)
    width = max((len(check.id) for check in rows), default=0)
    return [
        f"  {check.id:<{width}}  is {check.actual}, want {check.expected} (according to {check.source}); "
        f"hint: {check.remedy}"
        for check in rows
    ]
