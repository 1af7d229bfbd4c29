"""Findings that remember what holds too, with its sentences: for tests that look at a check that passes."""

from __future__ import annotations

from typing import Any

from runtime.attestation.findings import Check, Findings, Reason


class Everything(Findings):
    """Stands where Findings is wanted."""

    def __init__(self) -> None:
        super().__init__()
        self.made: dict[str, tuple[bool, Check]] = {}  # by id: whether it held, and what it says

    def require(self, ok: bool, check: str, reason: Reason, **texts: Any) -> bool:
        noted = Findings()
        noted.require(False, check, reason, **texts)
        self.made[check] = ok, noted.checks[0]
        return super().require(ok, check, reason, **texts)
