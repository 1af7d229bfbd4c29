"""Azure: report, runtime data and quote hang together by the attestation key, or are refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from runtime.attestation.findings import Reason
from runtime.attestation.tees.azure import hcl
from runtime.attestation.tees.composites.azure import AzureSnp, AzureTdx
from tests.attestation.platforms import appraise, document, refused
from tests.fakes import azure, machines, tpm
from tests.fakes.amd import FakeAmd
from tests.fakes.machines import FakeMachine

BOTH = ["azure-snp", "azure-tdx"]


@pytest.mark.parametrize("form", BOTH)
def test_the_paravisors_word_is_accepted(platforms: Mapping[str, FakeMachine], form: str) -> None:
    result = appraise(platforms[form])
    assert (result.image, result.instance) == ("test-image", azure.VM_UNIQUE_ID.lower())


def test_both_depths_of_microsofts_path(amd: FakeAmd) -> None:
    for deep in (True, False):
        assert appraise(machines.azure_snp(amd, deep=deep)).member == "client-1"


@pytest.mark.parametrize("form", BOTH)
def test_the_quote_of_another_machine_is_refused(platforms: Mapping[str, FakeMachine], form: str) -> None:
    assert set(refused(platforms[form], ak=tpm.rsa_key("another"))) == {"quote.signature"}


@pytest.mark.parametrize("form", BOTH)
def test_each_part_carries_the_binder(platforms: Mapping[str, FakeMachine], form: str) -> None:
    assert set(refused(platforms[form], binder=bytes(64))) == {"hcl.user_data", "quote.qualifying_data"}
    stale = {"user-data": "00" * 64}
    assert set(refused(platforms[form], runtime=stale)) == {"hcl.user_data"}


@pytest.mark.parametrize("form", BOTH)
def test_certificates_are_asked_for_unless_the_owner_does_without(
    platforms: Mapping[str, FakeMachine], form: str
) -> None:
    none: dict[str, None] = dict.fromkeys(machines.AK_PATH)
    assert set(refused(platforms[form], endorsements=none)) == {"ak.certified"}
    optional = document(platforms[form], values={"azure": {"ak_certificates": "when_present"}})
    result = appraise(platforms[form], optional, endorsements=none)
    assert any("Microsoft certified" in gap for gap in result.not_proven)


@pytest.mark.parametrize("form", BOTH)
def test_runtime_data_that_no_hardware_covers_is_not_read(
    platforms: Mapping[str, FakeMachine], form: str
) -> None:
    failed = refused(platforms[form], covered=b"something else")
    assert set(failed) == {"hcl.runtime_data"}


@pytest.mark.parametrize("form", BOTH)
def test_a_report_that_the_hardware_did_not_sign(platforms: Mapping[str, FakeMachine], form: str) -> None:
    part, at = ("hcl_report", 0x20 + 0x90) if form == "azure-snp" else ("td_quote", 600)
    cases: tuple[tuple[dict[str, Any], set[str]], ...] = (
        ({}, set()),
        ({"covered": b"{}"}, {"hcl.runtime_data"}),
    )
    for options, more in cases:
        good = platforms[form].evidence(**options).parts[part]
        bad = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
        found = set(refused(platforms[form], parts={part: bad}, **options))
        assert more < found
        assert form == "azure-tdx" or found == {"report.signature"} | more


@pytest.mark.parametrize("form", BOTH)
def test_a_key_that_no_part_names(platforms: Mapping[str, FakeMachine], form: str) -> None:
    keys = [azure.jwk(tpm.rsa_key("another").public_key())]
    assert set(refused(platforms[form], runtime={"keys": keys})) == {"ak.key", "quote.signature"}


def test_the_quote_of_another_td(platforms: Mapping[str, FakeMachine]) -> None:
    machine = platforms["azure-tdx"]
    assert set(refused(machine, inner_mrtd=b"\x23" * 48)) == {"hcl.td_report"}
    # The TDREPORT is believed in nothing: what it says of the JSON does not help a quote that does not.
    covered = azure.report_data(machine_text(machine))
    found = set(refused(machine, covered=b"{}", inner_data=covered))
    assert found == {"hcl.td_report", "hcl.runtime_data"}


def machine_text(machine: FakeMachine) -> bytes:
    return hcl.parse(machine.evidence().parts["hcl_report"]).runtime_json


def test_without_collateral_nothing_is_believed(platforms: Mapping[str, FakeMachine]) -> None:
    found = refused(platforms["azure-tdx"], endorsements={"tdx_collateral": None})
    assert set(found) == {"endorsements.collateral"}


def test_a_report_of_the_other_hardware_is_malformed(platforms: Mapping[str, FakeMachine]) -> None:
    other = platforms["azure-tdx"].evidence().parts["hcl_report"]
    failed = refused(platforms["azure-snp"], parts={"hcl_report": other})
    assert set(failed) == {"hcl.malformed"}
    assert failed["hcl.malformed"].reason is Reason.MALFORMED


def test_every_part_is_listed_beside_one_that_cannot_be_read(platforms: Mapping[str, FakeMachine]) -> None:
    tdx = platforms["azure-tdx"]
    both = {"hcl_report": b"\0", "td_quote": b"\0"}
    assert set(refused(tdx, parts=both)) == {"hcl.malformed", "tdx.malformed"}
    cut = {"hcl_report": b"\0"}
    assert set(refused(tdx, parts=cut, endorsements={"tdx_collateral": None})) == {
        "hcl.malformed",
        "endorsements.collateral",
    }
    strange: dict[str, Any] = {"ak_certificate": b"\0", "event_log": b"\0"}
    assert set(refused(tdx, endorsements=strange, parts={"tpm_quote": b"\0"})) == {
        "ak.malformed",
        "vtpm.malformed",
    }
    assert set(refused(tdx, endorsements={"event_log": b"\0"})) == {"log.malformed"}


def test_amds_endorsements_can_be_fetched_for_the_report_inside(
    platforms: Mapping[str, FakeMachine],
) -> None:
    evidence = platforms["azure-snp"].evidence(endorsements={"crl": None})
    assert [ref.name for ref in AzureSnp().endorsements_needed(evidence)] == ["crl"]
    assert AzureTdx().endorsements_needed(platforms["azure-tdx"].evidence()) == ()
