"""What is stated is compared; what is not stated is said; what fails within is kept once."""

from __future__ import annotations

import pytest

from runtime.attestation.findings import Findings, Reason
from runtime.commands.evidence.examination import Challenge, Examination


@pytest.mark.parametrize(("found", "ok"), [(b"n", True), (b"m", False), (b"", False)])
def test_a_stated_challenge_is_compared(found: bytes, ok: bool) -> None:
    out = Examination(challenge=Challenge(report_data=b"n", nonce=b"n"))
    out.bound("a", found, "REPORT_DATA", "the CPU")
    out.answers("b", found, "the nonce", "the TPM")
    assert [check.id for check in out.findings.failed()] == ([] if ok else ["a", "b"])
    assert out.not_proven == []


def test_an_open_challenge_is_not_proven() -> None:
    out = Examination(challenge=Challenge(report_data=None, nonce=None))
    out.bound("a", b"\1", "REPORT_DATA", "the CPU")
    out.answers("b", b"", "the nonce", "the TPM")
    assert out.findings.checks == []
    assert [("01" in line, "--report-data" in line) for line in out.not_proven] == [
        (True, True),
        (False, False),
    ]
    assert "empty" in out.not_proven[1]


@pytest.mark.parametrize("ok", [True, False])
def test_what_does_not_settle_is_nothing(ok: bool) -> None:
    def make(own: Findings) -> int:
        own.require(ok, "x", Reason.CHAIN, expected="", actual="", source="", remedy="")
        return 7

    out = Examination(challenge=Challenge(report_data=None, nonce=None))
    assert out.settled(make) == (7 if ok else None)
    assert [check.id for check in out.findings.failed()] == ([] if ok else ["x"])
    assert (out.grade, out.statements) == ("none", [])
