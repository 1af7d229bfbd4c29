"""What an examination of evidence comes to, and the challenge it is held against. Pure.

A statement is true and has somebody whose word it is; what nobody proved is said under its own name, that of
the part it would have come from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import TypeVar

from runtime.attestation.findings import Findings, Reason
from runtime.attestation.result import Statement
from runtime.attestation.tees.composites import gather

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What the caller says it asked for; None: it says nothing, and freshness stays open."""

    report_data: bytes | None  # 64: REPORT_DATA, user data
    nonce: bytes | None  # qualifying data of a quote, nonce of a document


@dataclass(slots=True, kw_only=True)
class Examination:
    """What came out."""

    challenge: Challenge
    findings: Findings = field(default_factory=Findings)
    statements: list[Statement] = field(default_factory=list[Statement])
    not_proven: list[str] = field(default_factory=list[str])
    grade: str = "none"
    why: str = "no part of it says who measured an image"

    def say(self, claim: str, value: str, measured_by: str) -> None:
        """Note one true statement and whose it is."""
        self.statements.append(Statement(claim=claim, value=value, measured_by=measured_by))

    def settled(self, make: Callable[[Findings], T]) -> T | None:
        """Return what `make` finds if all that it notes holds; otherwise keep the failed checks."""

        def run() -> T:
            own = Findings()
            value = make(own)
            own.settle()
            return value

        return gather.attempt(self.findings, run)

    def bound(self, check: str, found: bytes, what: str, source: str) -> None:
        """Hold what a report or document carries against the binder that the caller states."""
        self._held(check, found, self.challenge.report_data, what, source, "--report-data")

    def answers(self, check: str, found: bytes, what: str, source: str) -> None:
        """Hold what a quote or document answers against the nonce that the caller states."""
        self._held(check, found, self.challenge.nonce, what, source, "--nonce")

    def _held(
        self, check: str, found: bytes, wanted: bytes | None, what: str, source: str, option: str
    ) -> None:
        if wanted is None:
            shown = found.hex() or "empty"
            self.not_proven.append(
                f"that it is fresh: {what} is {shown}, and no {option} says what it should be"
            )
            return
        self.findings.require(
            compare_digest(found, wanted),
            check,
            Reason.BINDING,
            expected=wanted.hex(),
            actual=found.hex() or "none",
            source=source,
            remedy="this evidence answers another challenge: ask the machine again, with yours",
        )
