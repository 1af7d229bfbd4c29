"""Each part is held against its own Reference Values, and a part without them is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest

from runtime.attestation import platform_policy
from runtime.attestation.model import Findings
from runtime.attestation.tees import TEES
from runtime.documents import fleet as documents
from runtime.documents import strict_json
from runtime.documents.reference_values import FormatValues
from tests.attestation.platforms import appraise, document, refused
from tests.fakes import nitro
from tests.fakes.amd import FakeAmd
from tests.fakes.amd_certificates import ia5
from tests.fakes.machines import BINDER, FakeMachine

PARTS = {
    "aws-snp-nitrotpm": ("snp", "nitrotpm"),
    "azure-snp": ("snp", "azure"),
    "azure-tdx": ("tdx", "azure"),
    "gcp-snp": ("snp", "gce"),
    "gcp-tdx": ("tdx", "gce"),
    "qemu-tpm": ("qemu",),
    "aws-nitrotpm": ("nitrotpm",),
}


def values_of(machine: FakeMachine) -> FormatValues:
    payload = strict_json.canonical(machine.document())
    return documents.read(payload).reference_values.formats[machine.format]


@pytest.mark.parametrize(("form", "parts"), PARTS.items())
def test_a_part_without_reference_values_is_refused(
    platforms: Mapping[str, FakeMachine], form: str, parts: tuple[str, ...]
) -> None:
    machine = platforms[form]
    claims = TEES[form].verify(machine.evidence(), BINDER, machine.roots, machine.now)
    for part in parts:
        findings = Findings()
        changes: Mapping[str, Any] = MappingProxyType({part: None})
        platform_policy.check(
            findings, claims, dataclasses.replace(values_of(machine), **changes), machine.now
        )
        assert [check.id for check in findings.failed()] == ["format.parts"]
        assert part in findings.failed()[0].actual


@pytest.mark.parametrize(
    ("form", "values", "check"),
    [
        ("aws-snp-nitrotpm", {"nitrotpm": {"regions": ["us-east-2"]}}, "nitro.region"),
        ("azure-snp", {"azure": {"console": "forbidden"}}, "azure.console"),
        ("azure-tdx", {"azure": {"ak_revocation": "required"}}, "ak.revocation"),
        ("gcp-tdx", {"gce": {"projects": []}}, "gce.project"),
        ("gcp-snp", {"gce": {"zones": []}}, "gce.zone"),
        ("gcp-snp", {"gce": {"ak_revocation": "required"}}, "ak.revocation"),
    ],
)
def test_one_demand_each(
    platforms: Mapping[str, FakeMachine], form: str, values: dict[str, dict[str, Any]], check: str
) -> None:
    assert set(refused(platforms[form], document(platforms[form], values=values))) == {check}


def test_a_log_is_asked_for_where_the_owner_says_so(platforms: Mapping[str, FakeMachine]) -> None:
    machine, none = platforms["qemu-tpm"], {"event_log": None}
    assert set(refused(machine, endorsements=none)) == {"log.present"}
    optional = document(machine, values={"qemu": {"event_log": "when_present"}})
    assert appraise(machine, optional, endorsements=none).image == "test-image"


@pytest.mark.parametrize(("ago_s", "good"), [(300, True), (301, False), (-5, True), (-6, False)])
def test_a_document_is_young(platforms: Mapping[str, FakeMachine], ago_s: int, good: bool) -> None:
    machine = platforms["aws-nitrotpm"]
    made = {"timestamp": (nitro.NOW - ago_s) * 1000}
    if good:
        assert appraise(machine, nitro=made).member == "client-1"
    else:
        assert set(refused(machine, nitro=made)) == {"nitro.document.timestamp"}


def test_chip_and_hypervisor_are_in_one_region(amd: FakeAmd, platforms: Mapping[str, FakeMachine]) -> None:
    machine, elsewhere = platforms["aws-snp-nitrotpm"], "CN=cc-us-east-2.amazonaws.com"
    chip = amd.chip("elsewhere", "Milan", signer="vlek", extensions={"5": ia5(elsewhere)}, days=731)
    fleet = document(machine, values={"snp": {"csp_ids": [elsewhere]}})
    assert set(refused(machine, fleet, chip=chip)) == {"aws.region"}
