"""A refusal names every failed check and survives a process boundary."""

from __future__ import annotations

import pickle

import pytest

from runtime.attestation.findings import Check, EvidenceRefusedError, Findings, Reason
from runtime.errors import MalformedError


def check(name: str, reason: Reason) -> Check:
    return Check(id=name, reason=reason, expected="E", actual="A", source="S", remedy="H")


def test_refusal_has_one_aligned_line_per_check_and_pickles() -> None:
    error = EvidenceRefusedError([check("a", Reason.TCB), check("longer", Reason.VMPL)])
    assert str(error).splitlines() == [
        "evidence refused",
        "  a       is A, want E (according to S); hint: H",
        "  longer  is A, want E (according to S); hint: H",
    ]
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own object
    assert again.checks == error.checks
    assert again.reasons == {Reason.TCB, Reason.VMPL}
    assert (again.exit_status, again.code) == (10, "evidence_refused")


def test_findings_refuse_with_all_that_failed_and_nothing_else() -> None:
    findings = Findings()
    findings.settle()
    for name, ok in (("x", False), ("y", True), ("z", False)):
        findings.require(ok, name, Reason.TCB, expected="", actual="", source="", remedy="")
    with pytest.raises(EvidenceRefusedError) as caught:
        findings.settle()
    assert [entry.id for entry in caught.value.checks] == ["x", "z"]


def test_what_is_held_is_there_and_nothing_failed() -> None:
    findings = Findings()
    assert findings.held(7) == 7
    with pytest.raises(MalformedError):
        findings.held(None)
    findings.require(False, "x", Reason.TCB, expected="", actual="", source="", remedy="")
    for value in (7, None):
        with pytest.raises(EvidenceRefusedError):
            findings.held(value)
