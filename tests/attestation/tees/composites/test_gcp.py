"""Compute Engine: the vTPM's quote is about the very report, and Google names the instance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from runtime.attestation.binding import tpm_qualifying
from runtime.attestation.tees import TEES
from runtime.attestation.tees.composites.gcp import GcpSnp, GcpTdx
from tests.attestation.platforms import appraise, document, refused
from tests.fakes import machines, tpm_certificates
from tests.fakes.machines import BINDER, FakeMachine

BOTH = ["gcp-snp", "gcp-tdx"]
CHANGED: dict[str, dict[str, Any]] = {
    "gcp-snp": {"snp": {"report_id": b"\x01" * 32}},
    "gcp-tdx": {"tdx": {"td": {"tee_tcb_svn": b"\x06\x01\x04"}}},
}
REPORT = {"gcp-snp": "snp_report", "gcp-tdx": "td_quote"}


@pytest.mark.parametrize("form", BOTH)
def test_the_instance_is_the_one_google_names(platforms: Mapping[str, FakeMachine], form: str) -> None:
    result = appraise(platforms[form])
    assert result.instance == str(tpm_certificates.INSTANCE_ID)
    said = {row.claim: row.value for row in result.statements}
    assert said["zone"] == f"{tpm_certificates.ZONE}, project {tpm_certificates.PROJECT}"


@pytest.mark.parametrize("form", BOTH)
def test_a_splice_of_two_machines_is_refused(platforms: Mapping[str, FakeMachine], form: str) -> None:
    """Decision 0004: another machine's report beside this one's quote, each asked for the same binder."""
    other = platforms[form].evidence(**CHANGED[form]).parts[REPORT[form]]
    assert set(refused(platforms[form], parts={REPORT[form]: other})) == {"quote.qualifying_data"}


@pytest.mark.parametrize("form", BOTH)
def test_a_quote_over_the_binder_alone_is_refused(platforms: Mapping[str, FakeMachine], form: str) -> None:
    failed = refused(platforms[form], qualifying=tpm_qualifying(BINDER))
    assert set(failed) == {"quote.qualifying_data"}


@pytest.mark.parametrize("form", BOTH)
def test_without_googles_certificate_there_is_no_instance(
    platforms: Mapping[str, FakeMachine], form: str
) -> None:
    none: dict[str, None] = dict.fromkeys(machines.AK_PATH)
    assert set(refused(platforms[form], endorsements=none)) == {"endorsements.ak_certificate"}


@pytest.mark.parametrize("form", BOTH)
def test_endorsed_firmware_needs_no_entry_where_the_owner_says_so(
    platforms: Mapping[str, FakeMachine], form: str
) -> None:
    register = "snp_measurement" if form == "gcp-snp" else "mrtd"
    unlisted = document(platforms[form], firmware={register: None})
    assert set(refused(platforms[form], unlisted)) == {"firmware.measurement"}
    for least, failed in ((2, set[str]()), (3, {"firmware.measurement"})):
        fleet = document(
            platforms[form],
            firmware={register: None},
            values={"gce": {"endorsed_firmware": {"min_svn": least}}},
        )
        if failed:
            assert set(refused(platforms[form], fleet)) == failed
        else:
            assert appraise(platforms[form], fleet).image == "test-image"
    fleet = document(
        platforms[form], firmware={register: None}, values={"gce": {"endorsed_firmware": {"min_svn": 0}}}
    )
    assert set(refused(platforms[form], fleet, endorsements={"launch_endorsement": None})) == {
        "firmware.measurement"
    }


def test_the_log_has_to_lead_to_the_registers(platforms: Mapping[str, FakeMachine]) -> None:
    fleet = document(
        platforms["gcp-tdx"], measurements={"rtmr1": ["01" * 48]}, firmware={"rtmr0": b"\x01" * 48}
    )
    td = {"rtmr1": b"\x01" * 48}
    assert set(refused(platforms["gcp-tdx"], fleet, tdx={"td": td})) == {"ccel.rtmr1"}


def test_a_tds_log_is_a_part_and_a_vtpms_is_not(platforms: Mapping[str, FakeMachine]) -> None:
    for form, without in (("gcp-tdx", True), ("gcp-snp", False)):
        machine = platforms[form]
        for log, checked in (({}, True), ({"event_log": None}, without)):
            evidence = machine.evidence(endorsements=log)
            claims = TEES[form].verify(evidence, BINDER, machine.roots, machine.now)
            assert claims.log_checked is checked


def test_amds_endorsements_can_be_fetched(platforms: Mapping[str, FakeMachine]) -> None:
    evidence = platforms["gcp-snp"].evidence(endorsements={"vek": None})
    assert [ref.name for ref in GcpSnp().endorsements_needed(evidence)] == ["vek"]
    assert GcpTdx().endorsements_needed(platforms["gcp-tdx"].evidence()) == ()


def test_a_malformed_quote_leaves_the_other_parts_looked_at(platforms: Mapping[str, FakeMachine]) -> None:
    parts = {"td_quote": b"\4\0", "tpm_signature": b"\0"}
    assert set(refused(platforms["gcp-tdx"], parts=parts)) == {"tdx.malformed", "vtpm.malformed"}
