"""Parts by themselves: true ones with whose word they are, changed ones with what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from runtime.attestation import wire
from runtime.attestation.binding import tied_qualifying, tpm_qualifying
from runtime.attestation.eventlog import ccel, tcg
from runtime.attestation.eventlog.events import SHA256, SHA384
from runtime.attestation.formats import FORMATS
from runtime.commands.evidence import verify
from runtime.commands.evidence.examination import Challenge, Examination
from runtime.commands.evidence.examine import examine
from runtime.documents.waivable import WAIVABLE
from runtime.errors import MalformedError, UsageError
from tests.attestation.platforms import as_hardware
from tests.attestation.test_vectors import request
from tests.attestation.vector import Vector
from tests.attestation.vectors import VECTORS
from tests.fakes import nitro, simulated
from tests.fakes.amd import FakeAmd
from tests.fakes.machines import BINDER, FakeMachine
from tests.fakes.nitro import FakeNitro

GRADES = {
    "aws-snp-nitrotpm": "V",
    "azure-snp": "P",
    "azure-tdx": "P",
    "gcp-tdx": "V",
    "gcp-snp": "V",
    "qemu-tpm": "T",
    "aws-nitrotpm": "N",
}
OPEN = Challenge(report_data=None, nonce=None)


def look(machine: FakeMachine, challenge: Challenge = OPEN, **options: Any) -> Examination:
    made = machine.evidence(**options)
    return examine(made.parts, made.endorsements, as_hardware(machine.roots), challenge, machine.now)


def of(machine: FakeMachine, parts: Mapping[str, bytes], endorsements: Mapping[str, bytes]) -> Examination:
    return examine(dict(parts), dict(endorsements), as_hardware(machine.roots), OPEN, machine.now)


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
        "quote.qualifying_data",
        "binding.nitro_user_data",
        "nitro.document.nonce",
    }
    assert wrong.grade == "none"


# Every item of every format: a byte that somebody changed is a failed check, bytes that are nothing known, or
# a line that says by name what was not proven.
ITEMS = [
    (form, item)
    for form in sorted(GRADES)
    for item in sorted({**FORMATS[form].parts, **FORMATS[form].endorsements})
]


@pytest.mark.parametrize(("form", "item"), ITEMS)
def test_a_changed_byte_of_any_item_is_seen_or_named(
    fleet: dict[str, FakeMachine], form: str, item: str
) -> None:
    machine = fleet[form]
    made = machine.evidence()
    good = made.parts.get(item) or made.endorsements.get(item)
    if good is None:
        assert item in OPTIONAL
        return
    before = of(machine, made.parts, made.endorsements).not_proven
    for at in sorted({len(good) * step // 4 for step in range(4)} | {len(good) - 1}):
        bad = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
        items, extra = dict(made.parts), dict(made.endorsements)
        (items if item in items else extra)[item] = bad
        try:
            out = of(machine, items, extra)
        except MalformedError:
            continue
        if not failed(out):
            assert item in UNSIGNED.get(form, set()) | TEXTS, at
            assert any(line.startswith(item) for line in before), at


OPTIONAL = {"cert_table", "ak_authority_2", "ak_crl", "ak_authority_1_crl", "ak_authority_2_crl", "event_log"}
UNSIGNED = {"azure-tdx": {"hcl_report"}}  # a TDREPORT that only its own machine could check
TEXTS = {"ccel", "event_log"}  # no register covers what an event says of itself


@pytest.mark.parametrize("form", sorted(GRADES))
def test_a_digest_that_was_not_extended_fails(fleet: dict[str, FakeMachine], form: str) -> None:
    machine = fleet[form]
    made = machine.evidence()
    if "ccel" in made.parts:
        data, watched, check = made.parts["ccel"], {1, 2, 3}, "ccel.rtmr"
        events = ccel.parse(data).events
    else:
        data, watched, check = made.endorsements["event_log"], {4, 7, 11}, "log.replay."
        events = tcg.parse(data).events
    bank = SHA384 if "ccel" in made.parts or form.startswith("aws") else SHA256
    event = next(event for event in events if event.extends and event.register in watched)
    at = data.index(event.digests[bank], event.offset)
    bad = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    parts, extra = dict(made.parts), dict(made.endorsements)
    (parts if "ccel" in parts else extra)["ccel" if "ccel" in parts else "event_log"] = bad
    assert any(name.startswith(check) for name in failed(of(machine, parts, extra)))


def test_values_that_no_quote_is_about_and_a_vtpm_s_forged_signature_fail(
    fleet: dict[str, FakeMachine],
) -> None:
    for form, item, check in (
        ("azure-snp", "tpm_pcrs", "quote.pcr_digest"),
        ("gcp-tdx", "tpm_signature", "quote.signature"),
    ):
        machine = fleet[form]
        good = machine.evidence().parts[item]
        bad = good[:-1] + bytes([good[-1] ^ 0xFF])
        assert check in failed(look(machine, parts={item: bad})), form


def test_two_machines_are_not_one(fleet: dict[str, FakeMachine]) -> None:
    """A true report beside another machine's true quote or document has the lesser grade, and says so."""
    for form, part, grade in (("aws-snp-nitrotpm", "nitrotpm_document", "N"), ("gcp-snp", "tpm_quote", "N")):
        machine = fleet[form]
        other = machine.evidence(bytes(64)).parts
        parts = {name: other[name] for name in (part, *QUOTED) if name in other}
        out = look(machine, parts=parts)
        assert failed(out) == set()
        assert out.grade == grade
        assert any(line.startswith(f"{part}: that it is of the machine") for line in out.not_proven)
    # The CPU measures what boots on a TD: its grade stands, and the vTPM's statements are another's.
    other = fleet["gcp-tdx"].evidence(bytes(64)).parts
    out = look(fleet["gcp-tdx"], parts={name: other[name] for name in QUOTED})
    assert out.grade == "V"
    assert any(line.startswith("tpm_quote: that it is of the machine") for line in out.not_proven)


QUOTED = ("tpm_quote", "tpm_signature", "tpm_pcrs")


@pytest.mark.parametrize("form", sorted(GRADES))
def test_each_item_without_the_others_is_proven_or_named(fleet: dict[str, FakeMachine], form: str) -> None:
    machine = fleet[form]
    made = machine.evidence()
    for part, data in made.parts.items():
        try:
            out = examine({part: data}, made.endorsements, as_hardware(machine.roots), OPEN, machine.now)
        except UsageError:
            assert part not in {"snp_report", "td_quote", "hcl_report", "nitrotpm_document", "tpm_quote"}
            continue
        named = {line.split(",", 1)[0] for line in out.not_proven if "which was not examined" in line}
        if part == "tpm_quote":
            assert named >= {"tpm_quote", *({"event_log"} & set(made.endorsements))}
            assert (out.grade, out.statements) == ("none", [])


def test_a_root_of_tests_is_grade_t(fleet: dict[str, FakeMachine]) -> None:
    for machine in fleet.values():
        made = machine.evidence()
        out = examine(made.parts, made.endorsements, machine.roots, OPEN, machine.now)
        assert out.grade == "T"


def test_an_enclave_s_document_is_one_of_a_nitrotpm_only_if_it_says_so() -> None:
    cloud = FakeNitro.create()
    data = cloud.document("enclave", cloud.leaf("enclave"))
    out = examine({"enclave_document": data}, {}, as_hardware(cloud.roots()), OPEN, nitro.NOW)
    assert (failed(out), out.grade) == (set(), "N")
    assert {row.claim for row in out.statements} >= {"enclave", "PCR0", "PCR1", "PCR2"}
    with pytest.raises(MalformedError):
        examine({"nitrotpm_document": data}, {}, as_hardware(cloud.roots()), OPEN, nitro.NOW)
    debug = cloud.document("enclave", cloud.leaf("enclave"), pcrs=dict.fromkeys(range(5), bytes(48)))
    out = examine({"enclave_document": debug}, {}, as_hardware(cloud.roots()), OPEN, nitro.NOW)
    assert failed(out) == {"nitro.document.measured"}


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


def test_a_service_td_that_cannot_be_seen_is_said(fleet: dict[str, FakeMachine]) -> None:
    def said(**options: Any) -> bool:
        return any("no service TD" in line for line in look(fleet["gcp-tdx"], **options).not_proven)

    assert said()
    assert not said(tdx={"version": 5})


def test_a_log_that_cannot_be_read_hides_nothing_of_the_rest(fleet: dict[str, FakeMachine]) -> None:
    machine = fleet["gcp-tdx"]
    made = machine.evidence()
    parts = dict(made.parts) | {"ccel": b"junk"}
    out = examine(parts, made.endorsements, as_hardware(machine.roots), OPEN, machine.now)
    assert failed(out) == {"log.malformed"}
    assert {"RTMR0", "memory encryption", "PCR4"} <= {said.claim for said in out.statements}


def test_nothing_to_examine_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no part"):
        examine({"ccel": b"x"}, {}, (), OPEN, 0)


# Vectors about what no waiver lets pass, that nothing here can refuse: why.
_OF_THE_OWNER = "it is held against a Reference Value or a member of the owner's"
LEFT_OPEN = {
    "snp.signer": _OF_THE_OWNER,
    "snp.product": _OF_THE_OWNER,
    "td.sept_ve_disable": _OF_THE_OWNER,
    "td.mrconfigid": _OF_THE_OWNER,
    "td.mrowner": _OF_THE_OWNER,
    "td.mrownerconfig": _OF_THE_OWNER,
    "member.instance": _OF_THE_OWNER,
    "gce.project": _OF_THE_OWNER,
    "measurement.known": _OF_THE_OWNER,
    "settings.digest": _OF_THE_OWNER,
    "grade.least": _OF_THE_OWNER,
    "nitro.document.timestamp": "how old a document may be is the owner's to say, and --at examines old ones",
}
# Those that are said and not refused: they are true, and no member's.
SAID = {
    "settings.register": "settings",
    "endorsements.ak_certificate": "of the TPM's quote: nothing that holds names its key",
    "nitro.document.public_key": "what its public key is for",
}
UNWAIVED = [vector for vector in VECTORS if vector.check not in WAIVABLE]


def about_evidence(vector: Vector, machine: FakeMachine, amd: FakeAmd) -> bool:
    """Tell whether the evidence, or who vouches for it, is what is wrong, and not the document."""
    made = {} if vector.lazy is None else vector.lazy(machine, amd)
    changed = {*vector.options, *made} - {"fleet"}
    return bool(changed) or "evidence" in vector.how or str(vector.how.get("roots")).startswith("without")


@pytest.mark.parametrize(
    "vector", UNWAIVED, ids=lambda vector: f"{vector.format}-{vector.what}".replace(" ", "-")
)
def test_what_no_document_could_let_pass_is_noticed(
    vector: Vector, fleet: dict[str, FakeMachine], amd: FakeAmd
) -> None:
    """No examination gives a grade, without a word, to evidence that is refused under every document."""
    machine = simulated.machine(amd) if vector.format == "sev-snp" else fleet[vector.format]
    if not about_evidence(vector, machine, amd):
        return  # nothing of it is known here
    made = request(vector, fleet, amd)
    try:
        shown = wire.decode(made.evidence)
        challenge = Challenge(report_data=BINDER, nonce=verify._second(shown, BINDER))
        out = examine(shown.parts, shown.endorsements, as_hardware(made.roots), challenge, made.now)
    except MalformedError:
        return
    if out.findings.failed():
        assert out.grade == "none"
    elif vector.check in SAID:
        assert any(SAID[vector.check] in line for line in out.not_proven)
    else:
        assert vector.check in LEFT_OPEN, "refused under every document, and examined without a word"


def test_parts_of_two_platforms_have_no_grade(fleet: dict[str, FakeMachine]) -> None:
    one = fleet["azure-snp"]
    for other, parts in (
        ("aws-nitrotpm", ("nitrotpm_document",)),
        ("gcp-tdx", ("td_quote", "ccel")),
        ("gcp-snp", ("snp_report",)),
        ("qemu-tpm", ("ak_public",)),
    ):
        found = fleet[other].evidence()
        made = one.evidence()
        mixed = {**made.parts, **{name: found.parts[name] for name in parts}}
        roots = as_hardware((*one.roots, *fleet[other].roots))
        out = examine(mixed, {**found.endorsements, **made.endorsements}, roots, OPEN, one.now)
        assert out.grade == "none", other
        assert any("that these parts are of one machine" in line for line in out.not_proven), other


def test_what_boots_beside_an_image_has_no_grade(fleet: dict[str, FakeMachine]) -> None:
    for form, size in (("azure-snp", 32), ("gcp-snp", 32), ("aws-nitrotpm", 48)):
        for index in (12, 13):
            out = look(fleet[form], registers={index: b"\7" * size})
            assert (failed(out), out.grade) == ({f"image.pcr{index}"}, "none"), form
