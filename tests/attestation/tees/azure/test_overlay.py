"""What every Azure machine adds: freshness, key and quote, each check alone."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.attestation.findings import EvidenceRefusedError, Findings, Reason
from runtime.attestation.tees.azure import hcl, overlay, runtime_data
from runtime.attestation.tees.azure.overlay import AzureDemand
from runtime.attestation.tees.tdx import quote as td_quote
from runtime.attestation.tees.tpm.ak import AZURE_ROOT
from runtime.errors import MalformedError
from tests.attestation.tees.azure import machines
from tests.fakes import azure, td_machine, tpm, tpm_certificates
from tests.fakes.tpm_certificates import NOW

TEXT = machines.TEXT
REPORT = hcl.parse(machines.REPORT)
RUNTIME = runtime_data.parse(TEXT)


def failed(findings: Findings) -> dict[str, Reason]:
    return {check.id: check.reason for check in findings.failed()}


def test_the_runtime_data_is_read_once_it_is_covered() -> None:
    findings = Findings()
    assert overlay.read_runtime(findings, REPORT, azure.report_data(TEXT)) == RUNTIME
    assert not failed(findings)


@pytest.mark.parametrize(
    "report_data",
    [bytes(64), azure.report_data(TEXT)[:63] + b"\1", b"\1" + azure.report_data(TEXT)[1:], b""],
)
def test_all_64_bytes_of_report_data_count(report_data: bytes) -> None:
    findings = Findings()
    with pytest.raises(EvidenceRefusedError):
        overlay.read_runtime(findings, REPORT, report_data)
    assert failed(findings) == {"hcl.runtime_data": Reason.BINDING}


@pytest.mark.parametrize("changes", [{"mrtd": b"\x23" * 48}, {"report_data": bytes(64)}])
def test_the_quote_is_of_the_td_that_the_report_speaks_of(changes: dict[str, bytes]) -> None:
    right = {"report_data": azure.report_data(TEXT), "mrtd": REPORT.measurement}
    for td, wanted in ((right, {}), (right | changes, {"hcl.td_report": Reason.BINDING})):
        findings = Findings()
        quoted = td_quote.parse(td_machine.MACHINE.quote(td=td)).report
        overlay.check_td_report(findings, REPORT, quoted)
        assert failed(findings) == wanted


def test_a_report_of_a_chip_is_of_no_td() -> None:
    report = hcl.parse(azure.hcl(bytes(1184), TEXT, azure.SNP))
    quoted = td_quote.parse(td_machine.MACHINE.quote()).report
    with pytest.raises(MalformedError, match="want tdx"):
        overlay.check_td_report(Findings(), report, quoted)


@pytest.mark.parametrize("user_data", [None, bytes(64).hex()])
def test_a_report_of_another_use_is_refused(user_data: str | None) -> None:
    changes: dict[str, Any] = {"user-data": user_data}
    findings = Findings()
    runtime = runtime_data.parse(azure.runtime_json(**changes))
    overlay.check_user_data(findings, runtime, azure.USER_DATA)
    assert failed(findings) == {"hcl.user_data": Reason.BINDING}


def ak_failed(ders: tuple[bytes, ...], roots: Any = machines.AK_ROOTS) -> dict[str, Reason]:
    findings = Findings()
    overlay.check_ak(findings, RUNTIME, ders, roots, NOW)
    return failed(findings)


def test_the_certificate_is_about_the_key_of_the_report() -> None:
    other = tpm_certificates.azure(tpm.rsa_key("another").public_key())
    assert not ak_failed(machines.PATH.ders())
    assert not ak_failed(())
    assert ak_failed(other.ders()) == {"ak.key": Reason.BINDING}
    assert ak_failed(machines.PATH.ders(), (AZURE_ROOT,)) == {"ak.root": Reason.CHAIN}


def test_google_does_not_vouch_for_azure() -> None:
    path = tpm_certificates.google(machines.AK.public_key())
    assert ak_failed(path.ders(), (path.root(),))["ak.root"] == Reason.CHAIN


def test_all_that_is_left_is_checked() -> None:
    findings = Findings()
    found = overlay.check(findings, REPORT, RUNTIME, machines.DEMAND, machines.quote(), None)
    assert not failed(findings)
    assert found.runtime_digest == REPORT.runtime_digest
    stale = AzureDemand(user_data=bytes(64), quote=machines.DEMAND.quote)
    overlay.check(findings, REPORT, RUNTIME, stale, machines.quote(tpm.rsa_key("another")), None)
    assert set(failed(findings)) == {"hcl.user_data", "quote.signature"}


def test_a_demand_has_a_whole_binder() -> None:
    with pytest.raises(MalformedError, match="32 bytes, want 64"):
        AzureDemand(user_data=bytes(32), quote=machines.DEMAND.quote)
