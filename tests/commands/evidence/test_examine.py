"""Parts by themselves: true ones with whose word they are, changed ones with what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.attestation.binding import tied_qualifying, tpm_qualifying
from runtime.commands.evidence.examine import Challenge, Examination, examine
from runtime.errors import UsageError
from tests.attestation.platforms import as_hardware
from tests.fakes.machines import BINDER, FakeMachine

GRADES = {
    "aws-snp-nitrotpm": "V",
    "azure-snp": "P",
    "azure-tdx": "P",
    "gcp-tdx": "V",
    "gcp-snp": "T",
    "qemu-tpm": "T",
    "aws-nitrotpm": "N",
}
OPEN = Challenge(report_data=None, nonce=None)


def look(machine: FakeMachine, challenge: Challenge = OPEN, **options: Any) -> Examination:
    made = machine.evidence(**options)
    return examine(made.parts, made.endorsements, as_hardware(machine.roots), challenge, machine.now)


def failed(out: Examination) -> set[str]:
    return {check.id for check in out.findings.failed()}


@pytest.mark.parametrize("form", sorted(GRADES))
def test_true_parts_have_a_grade_and_say_whose_word_they_are(
    fleet: dict[str, FakeMachine], form: str
) -> None:
    out = look(fleet[form])
    assert failed(out) == set()
    assert out.grade == GRADES[form]
    assert out.why
    assert all(row.measured_by for row in out.statements)
    assert any("fresh" in line for line in out.not_proven)


@pytest.mark.parametrize("form", sorted(GRADES))
def test_a_stated_challenge_is_held_against_each_part(fleet: dict[str, FakeMachine], form: str) -> None:
    machine = fleet[form]
    made = machine.evidence()
    report = made.parts.get("snp_report") or made.parts.get("td_quote") or b""
    nonce = (
        tpm_qualifying(BINDER)
        if form in {"azure-snp", "azure-tdx", "qemu-tpm"}
        else tied_qualifying(BINDER, report)
    )
    if form == "aws-nitrotpm":
        nonce = b""
    right = examine(
        made.parts,
        made.endorsements,
        as_hardware(machine.roots),
        Challenge(report_data=BINDER, nonce=nonce),
        machine.now,
    )
    assert failed(right) == set()
    wrong = look(machine, Challenge(report_data=bytes(64), nonce=b"other"))
    assert failed(wrong) & {
        "binding.report_data",
        "hcl.user_data",
        "tpm.qualifying_data",
        "binding.nitro_user_data",
        "nitro.document.nonce",
    }
    assert wrong.grade == "none"


def test_debug_and_migration_are_refused_whatever_an_owner_says(fleet: dict[str, FakeMachine]) -> None:
    out = look(fleet["gcp-snp"], snp={"policy": 0x30000 | 1 << 19 | 1 << 18})
    assert failed(out) == {"policy.debug", "policy.migration"}
    assert all(check.remedy for check in out.findings.failed())


def test_a_changed_part_is_refused(fleet: dict[str, FakeMachine]) -> None:
    for form, part, at in (
        ("gcp-snp", "snp_report", 0x90),
        ("gcp-tdx", "td_quote", 600),
        ("azure-snp", "hcl_report", 32 + 0x90),
        ("qemu-tpm", "tpm_signature", -1),
    ):
        good = fleet[form].evidence().parts[part]
        bad = bytearray(good)
        bad[at] ^= 1
        out = look(fleet[form], parts={part: bytes(bad)})
        assert failed(out), form
        assert out.grade == "none"


def test_azure_s_td_without_its_quote_says_where_to_get_it(fleet: dict[str, FakeMachine]) -> None:
    machine = fleet["azure-tdx"]
    made = machine.evidence()
    parts = {name: value for name, value in made.parts.items() if name != "td_quote"}
    out = examine(parts, made.endorsements, as_hardware(machine.roots), OPEN, machine.now)
    assert failed(out) == {"td_quote.present"}


def test_what_did_not_come_along_is_said(fleet: dict[str, FakeMachine]) -> None:
    for form, part, words in (
        ("azure-snp", "tpm_quote", "what booted"),
        ("gcp-tdx", "ccel", "no CC log"),
    ):
        machine = fleet[form]
        made = machine.evidence()
        parts = {name: value for name, value in made.parts.items() if name != part}
        out = examine(parts, made.endorsements, as_hardware(machine.roots), OPEN, machine.now)
        assert any(words in line for line in out.not_proven), form
    machine = fleet["azure-snp"]
    made = machine.evidence()
    kept = {name: value for name, value in made.endorsements.items() if not name.startswith("ak_")}
    out = examine(made.parts, kept, as_hardware(machine.roots), OPEN, machine.now)
    assert any("Microsoft certified" in line for line in out.not_proven)


def test_nothing_to_examine_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no part"):
        examine({"ccel": b"x"}, {}, (), OPEN, 0)
