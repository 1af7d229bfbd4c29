"""A quote is worth what its key is, and is of a machine only if it answers for that machine's report."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runtime.attestation.formats import QUOTED_REGISTERS
from runtime.attestation.wire import Evidence
from runtime.commands.evidence import examine, examine_tpm
from runtime.commands.evidence.examination import Challenge, Examination
from runtime.commands.evidence.examine_tpm import Held
from tests.attestation.platforms import as_hardware
from tests.fakes import tpm
from tests.fakes.machines import BINDER, FakeMachine

OPEN = Challenge(report_data=None, nonce=None)


def looked(machine: FakeMachine, evidence: Evidence | None = None, report: bytes | None = None) -> Held:
    made = machine.evidence() if evidence is None else evidence
    held = Held(
        evidence=made, roots=as_hardware(machine.roots), now=machine.now, out=Examination(challenge=OPEN)
    )
    if report is not None:
        held.report = ("snp_report", report, BINDER)
    examine_tpm.look(held)
    return held


def without(machine: FakeMachine, *names: str) -> Evidence:
    made = machine.evidence()
    return replace(
        made,
        parts={name: value for name, value in made.parts.items() if name not in names},
        endorsements={name: value for name, value in made.endorsements.items() if name not in names},
    )


def test_google_s_word_alone_is_n_and_v_beside_its_report(fleet: dict[str, FakeMachine]) -> None:
    machine = fleet["gcp-snp"]
    made = machine.evidence()
    assert {grade for grade, _ in looked(machine, made).graded} == {"N"}
    assert {grade for grade, _ in looked(machine, made, made.parts["snp_report"]).graded} == {"N", "V"}
    other = looked(machine, made, b"another report")
    assert {grade for grade, _ in other.graded} == {"N"}
    assert any(line.startswith("tpm_quote: that it is of the machine") for line in other.out.not_proven)


def test_a_software_tpm_beside_a_report_is_no_more_than_one(fleet: dict[str, FakeMachine]) -> None:
    machine = fleet["qemu-tpm"]
    held = looked(machine, report=b"a report")
    assert {grade for grade, _ in held.graded} == {"T"}
    loose = tpm.tpm2b_public(tpm.rsa_key("ak"), attributes=0)
    held = looked(machine, machine.evidence(parts={"ak_public": loose}))
    assert "ak.attributes" in {check.id for check in held.out.findings.failed()}


@pytest.mark.parametrize(
    ("names", "left"),
    [
        (("tpm_signature",), {"tpm_quote", "tpm_pcrs", "event_log"}),
        (("ak_public",), {"tpm_quote", "tpm_pcrs", "event_log", "tpm_signature"}),
        (("tpm_pcrs",), {"event_log"}),
    ],
)
def test_what_is_missing_is_why_the_rest_was_not_looked_at(
    fleet: dict[str, FakeMachine], names: tuple[str, ...], left: set[str]
) -> None:
    held = looked(fleet["qemu-tpm"], without(fleet["qemu-tpm"], *names))
    assert left <= set(held.left)
    assert not left & held.used
    assert ("tpm_pcrs" in names) is any(line.startswith("tpm_pcrs") for line in held.out.not_proven)


def test_a_log_needs_the_registers_that_it_is_about(fleet: dict[str, FakeMachine]) -> None:
    held = looked(fleet["qemu-tpm"])
    assert "event_log" in held.used
    for bank, values in ((0x0004, dict.fromkeys(range(24), bytes(20))), (0x000B, {4: bytes(32)})):
        other = Held(evidence=held.evidence, roots=(), now=0, out=Examination(challenge=OPEN))
        other.explained(bank, values, "a TPM")
        assert "event_log" not in other.used
        assert "PCR 4, 7, 11" in other.left["event_log"]


def test_microsoft_s_certificates_name_no_machine(fleet: dict[str, FakeMachine]) -> None:
    machine = fleet["azure-snp"]
    held = looked(machine, without(machine, "hcl_report"))
    assert held.out.findings.failed() == ()
    assert "tpm_quote" in held.left


def test_of_a_quote_that_does_not_hold_nothing_is_said(fleet: dict[str, FakeMachine]) -> None:
    machine = fleet["gcp-snp"]
    made = machine.evidence()
    forged = bytearray(made.parts["tpm_signature"])
    forged[-1] ^= 1
    for names in ((), ("tpm_pcrs",)):
        parts = {name: value for name, value in made.parts.items() if name not in names}
        held = looked(machine, replace(made, parts=parts | {"tpm_signature": bytes(forged)}))
        assert {check.id for check in held.out.findings.failed()} == {"quote.signature"}
        said = {statement.claim for statement in held.out.statements}
        assert not {claim for claim in said if claim.startswith(("PCR", "registers"))}
        assert held.graded == []
        assert "event_log" in held.left


@pytest.mark.parametrize("name", ["gcp-snp", "azure-snp"])
def test_a_quote_of_other_registers_says_nothing_of_an_image(
    fleet: dict[str, FakeMachine], name: str
) -> None:
    machine = fleet[name]
    whole = without(machine, "event_log")
    some = [
        replace(machine.evidence(selected=chosen), endorsements=whole.endorsements)
        for chosen in ({12}, {4, 7, 11}, QUOTED_REGISTERS - {13}, QUOTED_REGISTERS - {14})
    ]
    for evidence in (*some, without(machine, "tpm_pcrs")):
        out = examine.examine(
            evidence.parts, evidence.endorsements, as_hardware(machine.roots), OPEN, machine.now
        )
        assert out.findings.failed() == ()
        assert out.grade == ("T" if name == "gcp-snp" else "none")
        assert any(line.startswith("what booted: no PCR ") for line in out.not_proven)
    out = examine.examine(whole.parts, whole.endorsements, as_hardware(machine.roots), OPEN, machine.now)
    assert out.grade == ("V" if name == "gcp-snp" else "P")
