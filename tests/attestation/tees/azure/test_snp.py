"""Azure on AMD: every part holds, or the refusal names what does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runtime.attestation.model import EvidenceRefusedError
from runtime.attestation.tees.azure import snp
from runtime.attestation.tees.azure.snp import AzureSnpClaims, AzureSnpEvidence
from runtime.errors import MalformedError
from tests.attestation.tees.azure import machines
from tests.fakes import azure, tpm
from tests.fakes.amd import Chip, FakeAmd
from tests.fakes.fleets import NOW


@pytest.fixture(scope="module")
def chip(amd: FakeAmd) -> Chip:
    return amd.chip("azure-1", "Milan")


def verify(amd: FakeAmd, evidence: AzureSnpEvidence) -> AzureSnpClaims:
    return snp.verify(evidence, machines.DEMAND, amd.roots(), machines.AK_ROOTS, NOW)


def failed(amd: FakeAmd, evidence: AzureSnpEvidence) -> set[str]:
    with pytest.raises(EvidenceRefusedError) as refusal:
        verify(amd, evidence)
    return {check.id for check in refusal.value.checks}


def test_hardware_paravisor_and_tpm_are_one_statement(amd: FakeAmd, chip: Chip) -> None:
    found = verify(amd, machines.snp(chip))
    assert found.snp.report_data == azure.report_data(machines.TEXT)
    assert found.paravisor.vm_unique_id == azure.VM_UNIQUE_ID.lower()
    assert found.paravisor.user_data == azure.USER_DATA
    assert found.paravisor.tpm.pcrs == machines.VALUES
    assert found.paravisor.ak is not None
    assert found.paravisor.ak.vendor == "microsoft"


def test_claims_say_that_no_certificate_came_along(amd: FakeAmd, chip: Chip) -> None:
    assert verify(amd, machines.snp(chip, ak_certificates=())).paravisor.ak is None


def test_a_report_that_the_chip_did_not_sign(amd: FakeAmd, chip: Chip) -> None:
    good = machines.snp(chip)
    data = bytearray(good.hcl_report)
    data[0x20 + 0x90] ^= 1
    assert failed(amd, replace(good, hcl_report=bytes(data))) == {"report.signature"}


def test_runtime_data_that_the_chip_did_not_cover(amd: FakeAmd, chip: Chip) -> None:
    other = azure.runtime_json(**{"user-data": bytes(64).hex()})
    assert failed(amd, machines.snp(chip, covered=other)) == {"hcl.runtime_data"}


def test_runtime_data_that_is_not_covered_is_not_even_read(amd: FakeAmd, chip: Chip) -> None:
    assert failed(amd, machines.snp(chip, b"no JSON", covered=b"{}")) == {"hcl.runtime_data"}


def test_both_are_named_if_both_fail(amd: FakeAmd, chip: Chip) -> None:
    good = machines.snp(chip, covered=b"{}")
    data = bytearray(good.hcl_report)
    data[0x20 + 0x90] ^= 1
    found = failed(amd, replace(good, hcl_report=bytes(data)))
    assert found == {"report.signature", "hcl.runtime_data"}


def test_a_quote_of_another_tpm(amd: FakeAmd, chip: Chip) -> None:
    spliced = machines.snp(chip, quote=machines.quote(tpm.rsa_key("another")))
    assert failed(amd, spliced) == {"quote.signature"}


def test_a_quote_of_another_use(amd: FakeAmd, chip: Chip) -> None:
    found = failed(amd, machines.snp(chip, quote=machines.quote(qualifying_data=b"o" * 32)))
    assert found == {"quote.qualifying_data"}


def test_a_key_that_no_part_names(amd: FakeAmd, chip: Chip) -> None:
    keys = [azure.jwk(tpm.rsa_key("another").public_key())]
    found = failed(amd, machines.snp(chip, azure.runtime_json(keys=keys)))
    assert found == {"ak.key", "quote.signature"}


def test_a_report_of_another_kind_is_malformed(amd: FakeAmd) -> None:
    tdx = machines.tdx()
    evidence = AzureSnpEvidence(
        hcl_report=tdx.hcl_report, endorsements={}, quote=tdx.quote, ak_certificates=()
    )
    with pytest.raises(MalformedError, match="want snp"):
        verify(amd, evidence)
