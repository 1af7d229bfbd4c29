"""What the program writes into a new fleet document does not refuse a cloud's own machines for what they are.

Real evidence is of its day: floors, dates and firmware may have moved on since, and are not looked at here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from infra import capabilities
from infra.capabilities import CloudName, Machine
from infra.reference_values import reference_values
from runtime.attestation import snp_policy, tdx_policy
from runtime.attestation.findings import Findings
from runtime.attestation.tees.tdx import quote
from runtime.documents import reference_values as typed
from runtime.documents.reference_values import FormatValues
from tests.corpus import azure, cases, snp
from tests.corpus.cases import Case
from tests.fakes import intel, td_machine

# VMPL is the asker's own choice, versions and floors are the day's, the region is the fleet's.
OF_THE_DAY = {"snp.version", "snp.product", "snp.known_weak", "snp.revocation", "snp.csp_id", "snp.vmpl"}


def machine(cloud: CloudName, region: str, tee: str, machine_type: str = "") -> Machine:
    found, wrong = capabilities.choose(
        cloud=cloud, region=region, zone="", machine_type=machine_type, tee=tee
    )
    assert found is not None, wrong
    return found


@pytest.fixture(scope="module")
def defaults() -> Mapping[str, FormatValues]:
    machines = [
        machine("aws", "eu-west-1", "sev-snp"),
        machine("azure", "eastus", "sev-snp", "Standard_DC2as_v6"),
        machine("azure", "westeurope", "tdx"),
        machine("gcp", "us-central1", "sev-snp"),
        machine("gcp", "europe-west4", "tdx"),
    ]
    return typed.formats(reference_values(machines, {}, simulated=False))


SNP = {
    "aws-snp-nitrotpm": ("sev-snp", ("milan-v3-vlek-aws",)),
    "azure-snp": (
        "azure-snp-vtpm",
        ("milan-v3-super-protocol-ak-chain", "milan-v3-trustee-evidence-v1", "milan-v3-trustee-evidence-v2"),
    ),
    "gcp-snp": ("sev-snp", ("milan-v3-gcp-oak",)),
}
TDX = {
    "azure-tdx": ("azure-tdx-vtpm", ("spr-trustee-evidence-v1",)),
    "gcp-tdx": ("tdx", ("v4-spr-gcp-2025", "v4-spr-gcp-oak")),
}


def named(folder: str, names: tuple[str, ...]) -> list[Case]:
    cases.want()
    found = [case for case in cases.load(folder) if case.name in names]
    if not found:
        pytest.skip(f"none of {', '.join(names)} is in this corpus")
    return found


@pytest.mark.parametrize("form", SNP)
def test_no_default_refuses_what_a_cloud_s_snp_machines_are(
    defaults: Mapping[str, FormatValues], form: str
) -> None:
    for case in named(*SNP[form]):
        values, findings = defaults[form].snp, Findings()
        assert values is not None
        snp_policy.check(
            findings, snp.subject(azure.inner(case) if form == "azure-snp" else case).verify(), values
        )
        failed = {check.id for check in findings.failed()} - OF_THE_DAY
        assert {check for check in failed if not check.startswith("tcb.")} == set(), case.name


@pytest.mark.parametrize("form", TDX)
def test_no_default_refuses_what_a_cloud_s_tdx_machines_are(
    defaults: Mapping[str, FormatValues], form: str
) -> None:
    for case in named(*TDX[form]):
        values, findings = defaults[form].tdx, Findings()
        data = case.one("td_quote") or case.one("quote")
        assert values is not None
        assert data is not None
        claims = replace(td_machine.accept(), report=quote.parse(data).report)
        tdx_policy.check(findings, claims, values, intel.NOW)
        assert {check.id: check.actual for check in findings.failed()} == {}, case.name
