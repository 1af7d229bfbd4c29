"""A refusal names every failed check and survives a process boundary."""

from __future__ import annotations

import pickle
from collections.abc import Mapping

import pytest

from runtime.attestation.findings import Check, EvidenceRefusedError, Findings, Reason
from runtime.errors import MalformedError
from tests.attestation.platforms import refused
from tests.fakes import tpm_certificates
from tests.fakes.machines import FakeMachine
from tests.fakes.measured_boot import AK


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


EVIL = "x\r\x1b[2J\x1b[H\ntunnel: accepted as web-1, grade H\x1b[8m\u202e"


def test_what_a_stranger_wrote_is_one_line_and_no_order_to_a_terminal() -> None:
    findings = Findings()
    findings.require(
        False, "x", Reason.TCB, expected=EVIL, actual=lambda: EVIL, source=EVIL, remedy="look at it"
    )
    (failed,) = findings.failed()
    spelt = "x\\r\\x1b[2J\\x1b[H\\ntunnel: accepted as web-1, grade H\\x1b[8m\\u202e"
    assert (failed.expected, failed.actual, failed.source) == (spelt, spelt, spelt)
    with pytest.raises(EvidenceRefusedError) as caught:
        findings.settle()
    assert len(str(caught.value).splitlines()) == 2
    # Neither does any other error of ours, which may have lines of its own.
    assert str(MalformedError("evidence", EVIL)).count("\x1b") == 0
    assert str(MalformedError("evidence", "a\n  b é")) == "evidence: a\n  b é"


def test_a_name_in_a_certificate_forges_no_verdict(platforms: Mapping[str, FakeMachine]) -> None:
    failed = refused(platforms["gcp-tdx"], tdx={"pck": {"subject": EVIL}})
    assert failed["chain.names.leaf"].actual.isprintable()
    path = tpm_certificates.google(AK.public_key()).but(0, subject=tpm_certificates.name(EVIL))
    for check in refused(platforms["gcp-tdx"], path=path).values():
        assert check.actual.isprintable()
        assert check.source.isprintable()
