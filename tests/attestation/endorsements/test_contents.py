"""Answers that are what was asked for, and answers that are not: never kept, never handed on."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.attestation.endorsements import contents
from runtime.attestation.endorsements.contents import Answer
from runtime.attestation.endorsements.wanted import Want, endorsements_needed
from runtime.attestation.wire import Evidence
from runtime.errors import MalformedError
from tests.attestation.endorsements import machines
from tests.fakes import amd_certificates, endorsers, google, td_machine, tpm
from tests.fakes.amd import Chip, FakeAmd
from tests.fakes.endorsers import Say

VERSION_3, VERSION_5 = bytes.fromhex("a003020102"), bytes.fromhex("a003020104")
HTML = b"<html><title>Please log in</title></html>"


@pytest.fixture(scope="module")
def chip(amd: FakeAmd) -> Chip:
    return amd.chip("one", "Genoa")


def want_of(evidence: Evidence, kind: str) -> Want:
    return next(want for want in endorsements_needed(evidence) if want.kind == kind)


def test_a_chip_s_endorsements(chip: Chip) -> None:
    evidence, have = machines.snp(chip), chip.endorsements
    chain = endorsers.pem(have["intermediate"], have["root"])
    got: dict[str, bytes] = {}
    for kind, body in (("certificate", have["vek"]), ("crl", have["crl"]), ("chain", chain)):
        content = contents.read(want_of(evidence, kind), body, evidence)
        assert content.fresh_until is not None
        got |= content.endorsements
    assert got == {name: have[name] for name in ("vek", "crl", "intermediate", "root")}


def test_a_certificate_of_another_chip_is_refused(amd: FakeAmd, chip: Chip) -> None:
    evidence = machines.snp(chip)
    other = amd.chip("two", "Genoa").endorsements["vek"]
    with pytest.raises(MalformedError, match="another chip or firmware"):
        contents.read(want_of(evidence, "certificate"), other, evidence)


def test_a_chain_that_is_none_is_refused(amd: FakeAmd, chip: Chip) -> None:
    evidence, have = machines.snp(chip), chip.endorsements
    other = amd.chip("two", "Milan").endorsements
    want = want_of(evidence, "chain")
    for pair in (
        (have["root"], have["intermediate"]),
        (have["intermediate"],),
        (have["intermediate"], other["root"]),
        (have["intermediate"], have["root"], have["root"]),
    ):
        with pytest.raises(MalformedError):
            contents.read(want, endorsers.pem(*pair), evidence)


@pytest.mark.parametrize("kind", ["certificate", "crl", "chain"])
@pytest.mark.parametrize(
    "body", [HTML, b"", b"\x30", bytes(contents.MAX_BODY_SIZE + 1)], ids=["html", "empty", "cut", "huge"]
)
def test_something_else_is_refused(chip: Chip, kind: str, body: bytes) -> None:
    evidence = machines.snp(chip)
    with pytest.raises(MalformedError):
        contents.read(want_of(evidence, kind), body, evidence)


def test_a_list_in_pem_is_refused(chip: Chip) -> None:
    evidence = machines.snp(chip)
    with pytest.raises(MalformedError, match="want DER"):
        contents.read(want_of(evidence, "crl"), b"-----BEGIN X509 CRL-----\n", evidence)


def thim(chip: Chip, **changes: Any) -> bytes:
    have = chip.endorsements
    value = {
        "vcekCert": endorsers.pem(have["vek"]).decode(),
        "certificateChain": endorsers.pem(have["intermediate"], have["root"]).decode(),
        "tcbm": "DB18000000000004",
    }
    return json.dumps(value | changes).encode()


def test_azure_s_certificates(chip: Chip) -> None:
    evidence = machines.snp(chip, "azure-snp")
    content = contents.read(want_of(evidence, "thim"), thim(chip), evidence)
    assert content.endorsements == {name: chip.endorsements[name] for name in ("vek", "intermediate", "root")}


@pytest.mark.parametrize("body", [HTML, b"[]", b"{}", b'{"vcekCert": 7, "certificateChain": ""}'])
def test_azure_s_answer_without_certificates_is_refused(chip: Chip, body: bytes) -> None:
    evidence = machines.snp(chip, "azure-snp")
    with pytest.raises(MalformedError):
        contents.read(want_of(evidence, "thim"), body, evidence)


def test_azure_s_certificate_of_another_chip_is_refused(amd: FakeAmd, chip: Chip) -> None:
    evidence = machines.snp(chip, "azure-snp")
    with pytest.raises(MalformedError, match="another chip"):
        contents.read(want_of(evidence, "thim"), thim(amd.chip("two", "Genoa")), evidence)


def intel(**changes: Say) -> tuple[Want, list[Answer]]:
    want = want_of(machines.tdx(), "collateral")
    said = endorsers.pcs(td_machine.COLLATERAL, want.paths)
    for number, change in changes.items():
        said[want.paths[int(number[1:])]] = change
    return want, [
        Answer(body=said[path].body, headers={n.lower(): v for n, v in said[path].headers.items()})
        for path in want.paths
    ]


def test_intel_s_four_answers_become_the_nine_parts_bit_for_bit() -> None:
    want, answers = intel()
    body = contents.assemble(want, answers)
    assert json.loads(body) == json.loads(td_machine.COLLATERAL)
    content = contents.read(want, body, machines.tdx())
    td_machine.accept(collateral=content.endorsements["tdx_collateral"])


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("body", [HTML, b"", b"{}"])
def test_one_answer_that_is_something_else_spoils_the_four(number: int, body: bytes) -> None:
    want, answers = intel(**{f"n{number}": Say(body=body)})
    with pytest.raises(MalformedError):
        contents.read(want, contents.assemble(want, answers), machines.tdx())


def test_collateral_is_as_fresh_as_its_first_end() -> None:
    want, answers = intel()
    until = contents.read(want, contents.assemble(want, answers), machines.tdx()).fresh_until
    parts = json.loads(td_machine.COLLATERAL)
    ends = [json.loads(parts[name])["nextUpdate"] for name in ("tcb_info", "qe_identity")]
    from runtime.documents import times

    assert until is not None
    assert until <= min(map(times.parse, ends))


def test_collateral_without_an_end_is_refused() -> None:
    parts = json.loads(td_machine.COLLATERAL)
    for text in ("{}", '{"nextUpdate": 7}', "[]", "x", '{"nextUpdate": "soon"}'):
        body = json.dumps(parts | {"tcb_info": text}).encode()
        with pytest.raises(MalformedError):
            contents.read(want_of(machines.tdx(), "collateral"), body, machines.tdx())


def test_an_authority_has_to_have_issued_what_is_below_it() -> None:
    leaf, authority, root = machines.google_path().ders()
    have = {"tdx_collateral": b"x", "launch_endorsement": b"x", "ak_certificate": leaf}
    evidence = machines.tdx(**have)
    want = want_of(evidence, "certificate")
    assert contents.read(want, authority, evidence).endorsements == {"ak_authority_1": authority}
    for wrong in (root, leaf, HTML):
        with pytest.raises(MalformedError):
            contents.read(want, wrong, evidence)
    evidence = machines.tdx(**have, ak_authority_1=authority)
    assert contents.read(want_of(evidence, "certificate"), root, evidence).endorsements == {"ak_root": root}


def test_a_certificate_of_a_version_that_is_none_is_refused(chip: Chip) -> None:
    """It loads, and says so only when it is asked for something: nothing of that may get out."""
    leaf, authority, _ = machines.google_path().ders()
    assert authority.count(VERSION_3) == 1
    wrong = authority.replace(VERSION_3, VERSION_5)
    evidence = machines.tdx(tdx_collateral=b"x", launch_endorsement=b"x", ak_certificate=leaf)
    with pytest.raises(MalformedError):
        contents.read(want_of(evidence, "certificate"), wrong, evidence)
    have, evidence = chip.endorsements, machines.snp(chip)
    chain = endorsers.pem(have["intermediate"].replace(VERSION_3, VERSION_5), have["root"])
    with pytest.raises(MalformedError):
        contents.read(want_of(evidence, "chain"), chain, evidence)


@settings(max_examples=150, deadline=None)
@given(st.floats(0, 1, exclude_max=True), st.integers(0, 255))
def test_whatever_byte_of_an_authority_is_another_it_is_read_or_malformed(where: float, byte: int) -> None:
    leaf, authority, _ = machines.google_path().ders()
    wrong = bytearray(authority)
    wrong[int(where * len(wrong))] = byte
    evidence = machines.tdx(tdx_collateral=b"x", launch_endorsement=b"x", ak_certificate=leaf)
    with contextlib.suppress(MalformedError):  # who signed it is looked at when its issuer is there
        contents.read(want_of(evidence, "certificate"), bytes(wrong), evidence)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["intermediate", "root"]), st.floats(0, 1, exclude_max=True), st.integers(0, 255))
def test_whatever_byte_of_a_chain_is_another_it_is_read_or_malformed(
    chip: Chip, name: str, where: float, byte: int
) -> None:
    wrong = bytearray(chip.endorsements[name])
    wrong[int(where * len(wrong))] = byte
    pair = {**chip.endorsements, name: bytes(wrong)}
    evidence = machines.snp(chip)
    with contextlib.suppress(MalformedError):
        contents.read(want_of(evidence, "chain"), endorsers.pem(pair["intermediate"], pair["root"]), evidence)


def test_an_end_in_a_year_that_is_none_is_refused() -> None:
    """Whoever is between us and a plain-HTTP address can write such a date, and nothing of it may get out."""
    path = machines.google_path().but(1, days=40 * 365)
    leaf, authority, _ = path.ders()
    evidence = machines.tdx(tdx_collateral=b"x", launch_endorsement=b"x", ak_certificate=leaf)
    want = want_of(evidence, "certificate")
    assert contents.read(want, authority, evidence).endorsements == {"ak_authority_1": authority}
    with pytest.raises(MalformedError, match="year 0"):
        contents.read(want, machines.year_zero(authority), evidence)


def test_an_end_in_a_year_that_is_none_is_refused_in_a_chain(chip: Chip) -> None:
    key = tpm.rsa_key("amd root")
    root = amd_certificates.authority(
        "ARK-Genoa", key, "ARK-Genoa", key, 1, path_length=None, crl_sign=True, days=40 * 365
    )
    evidence = machines.snp(chip)
    want = want_of(evidence, "chain")
    assert contents.read(want, endorsers.pem(root, root), evidence).endorsements["root"] == root
    with pytest.raises(MalformedError, match="year 0"):
        contents.read(want, endorsers.pem(machines.year_zero(root), root), evidence)


def test_a_launch_endorsement_ends_with_its_first_certificate() -> None:
    want, mrtd = want_of(machines.tdx(), "launch"), bytes(48)
    body = google.endorsement(google.golden(tdx=[mrtd]))
    found = contents.read(want, body, machines.tdx())
    assert found.endorsements == {"launch_endorsement": body}
    short = google.endorsement(google.golden(tdx=[mrtd], field4=google.signer(days=400)))
    assert contents.read(want, short, machines.tdx()).fresh_until < found.fresh_until
    for wrong in (HTML, b"\x0a", b"\x0a\x01x", body[:-1]):
        with pytest.raises(MalformedError):
            contents.read(want, wrong, machines.tdx())


def test_a_path_longer_than_any_that_is_known_is_refused() -> None:
    leaf, authority, root = machines.google_path().ders()
    have = {"tdx_collateral": b"x", "launch_endorsement": b"x", "ak_certificate": leaf}
    evidence = machines.tdx(**have, ak_root=authority)  # the root's place is taken by what is none
    with pytest.raises(MalformedError, match="longer"):
        contents.read(want_of(evidence, "certificate"), root, evidence)


@pytest.mark.parametrize("number", [0, 1])
def test_a_signed_text_that_is_no_text_is_refused(number: int) -> None:
    want, answers = intel()
    answers[number] = Answer(
        body=answers[number].body.replace(b'"nextUpdate"', b'"\xff"'), headers=answers[number].headers
    )
    with pytest.raises(MalformedError, match="UTF-8"):
        contents.assemble(want, answers)


def test_what_is_one_answer_is_kept_as_it_came(chip: Chip) -> None:
    evidence = machines.snp(chip)
    answer = Answer(body=b"the body", headers={})
    assert contents.assemble(want_of(evidence, "crl"), [answer]) == b"the body"
