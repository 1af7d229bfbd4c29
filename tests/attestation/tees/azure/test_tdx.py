"""Azure on Intel: every part holds, or the refusal names what does not."""

from __future__ import annotations

import pytest

from runtime.attestation.model import EvidenceRefusedError
from runtime.attestation.tees.azure import tdx
from runtime.attestation.tees.azure.tdx import AzureTdxClaims, AzureTdxEvidence
from runtime.errors import MalformedError
from tests.attestation.tees.azure import machines
from tests.fakes import azure, td_machine, tpm
from tests.fakes.intel import NOW


def verify(evidence: AzureTdxEvidence) -> AzureTdxClaims:
    return tdx.verify(evidence, machines.DEMAND, td_machine.MACHINE.roots, machines.AK_ROOTS, NOW)


def failed(evidence: AzureTdxEvidence) -> set[str]:
    with pytest.raises(EvidenceRefusedError) as refusal:
        verify(evidence)
    return {check.id for check in refusal.value.checks}


def test_hardware_paravisor_and_tpm_are_one_statement() -> None:
    found = verify(machines.tdx())
    assert found.tdx.report.report_data == azure.report_data(machines.TEXT)
    assert found.paravisor.vm_unique_id == azure.VM_UNIQUE_ID.lower()
    assert found.paravisor.tpm.pcrs == machines.VALUES
    assert found.paravisor.ak is not None


def test_without_collateral_nothing_is_believed() -> None:
    assert failed(machines.tdx(collateral=None)) == {"endorsements.collateral"}


def test_runtime_data_that_the_quote_did_not_cover() -> None:
    assert failed(machines.tdx(covered=b"{}")) == {"hcl.runtime_data"}


def test_the_quote_of_another_td() -> None:
    data = azure.report_data(machines.TEXT)
    quote = td_machine.MACHINE.quote(td={"report_data": data, "mrtd": b"\x23" * 48})
    assert failed(machines.tdx(td_quote=quote)) == {"hcl.td_report"}
    # The TDREPORT is believed in nothing: what it says of the JSON does not help a quote that does not.
    stale = td_machine.MACHINE.quote(td={"report_data": azure.report_data(b"{}")})
    assert failed(machines.tdx(td_quote=stale)) == {"hcl.td_report", "hcl.runtime_data"}


def test_a_quote_that_the_platform_did_not_sign() -> None:
    data = azure.report_data(machines.TEXT)
    forged = td_machine.MACHINE.quote(td={"report_data": data}, signing_key=td_machine.OTHER_KEY)
    found = failed(machines.tdx(td_quote=forged))
    assert found
    assert "hcl.runtime_data" not in found


def test_a_quote_of_another_tpm() -> None:
    spliced = machines.tdx(quote=machines.quote(tpm.rsa_key("another")))
    assert failed(spliced) == {"quote.signature"}


def test_a_report_of_another_kind_is_malformed() -> None:
    with pytest.raises(MalformedError, match="want tdx"):
        verify(machines.tdx(hcl_report=azure.hcl(bytes(1184), machines.TEXT, azure.SNP)))
