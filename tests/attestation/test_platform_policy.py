"""Each part is held against its own Reference Values, and a part without them is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest

from runtime.attestation import platform_policy
from runtime.attestation.findings import Findings
from runtime.attestation.tees import TEES
from runtime.documents import fleet as documents
from runtime.documents import strict_json
from runtime.documents.reference_values import FormatValues
from tests.attestation.platforms import appraise, claims_of, document, refused
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


@pytest.mark.parametrize(
    ("ago_ms", "good"), [(300_000, True), (300_001, False), (-5_000, True), (-5_001, False)]
)
def test_a_document_is_young(platforms: Mapping[str, FakeMachine], ago_ms: int, good: bool) -> None:
    machine = platforms["aws-nitrotpm"]
    made = {"timestamp": nitro.NOW * 1000 - ago_ms}
    if good:
        assert appraise(machine, nitro=made).member == "client-1"
    else:
        assert set(refused(machine, nitro=made)) == {"nitro.document.timestamp"}


def test_chip_and_hypervisor_are_in_one_region(amd: FakeAmd, platforms: Mapping[str, FakeMachine]) -> None:
    machine, elsewhere = platforms["aws-snp-nitrotpm"], "CN=cc-us-east-2.amazonaws.com"
    chip = amd.chip("elsewhere", "Milan", signer="vlek", extensions={"5": ia5(elsewhere)}, days=731)
    fleet = document(machine, values={"snp": {"csp_ids": [elsewhere]}})
    assert set(refused(machine, fleet, chip=chip)) == {"aws.region"}


def test_a_chip_that_names_no_place_contradicts_none(platforms: Mapping[str, FakeMachine]) -> None:
    """A dedicated host may sign with the chip's own key, which names no cloud."""
    claims = claims_of(platforms["aws-snp-nitrotpm"])
    assert claims.snp is not None
    assert claims.nitro is not None
    for csp_id, failed in ((None, []), ("CN=cc-us-east-2.amazonaws.com", ["aws.region"])):
        findings = Findings()
        chip = dataclasses.replace(claims.snp, csp_id=csp_id)
        platform_policy.check_one_place(findings, claims.nitro, chip)
        assert [check.id for check in findings.failed()] == failed


PART = {
    "snp": "snp",
    "tdx": "tdx",
    "nitrotpm": "nitro",
    "azure": "paravisor",
    "gce": "instance",
}


@pytest.mark.parametrize("form", PARTS)
def test_rules_of_a_part_that_is_not_there_are_not_asked(
    platforms: Mapping[str, FakeMachine], form: str
) -> None:
    machine = platforms[form]
    changes: dict[str, Any] = {PART[part]: None for part in PARTS[form] if part in PART}
    findings, claims = Findings(), dataclasses.replace(claims_of(machine), **changes)
    values = values_of(machine)
    if values.azure is not None:
        values = dataclasses.replace(values, azure=dataclasses.replace(values.azure, console_allowed=False))
    platform_policy.check(findings, claims, values, machine.now)
    assert [check.id for check in findings.failed()] == []


def test_a_console_that_is_off_satisfies_whoever_forbids_it(platforms: Mapping[str, FakeMachine]) -> None:
    machine = platforms["azure-snp"]
    claims = claims_of(machine)
    assert claims.paravisor is not None
    fleet = document(machine, values={"azure": {"console": "forbidden"}})
    values = documents.read(strict_json.canonical(fleet)).reference_values.formats[machine.format]
    for enabled in (True, False):
        findings = Findings()
        said = dataclasses.replace(claims.paravisor, console_enabled=enabled)
        platform_policy.check(findings, dataclasses.replace(claims, paravisor=said), values, machine.now)
        assert [check.id for check in findings.failed()] == (["azure.console"] if enabled else [])


@pytest.mark.parametrize("certificates", ["required", "when_present"])
@pytest.mark.parametrize("revocation", ["required", "when_present"])
@pytest.mark.parametrize("have", ["nothing", "certificates", "lists"])
def test_certificates_and_lists_are_asked_for_where_the_owner_says_so(
    platforms: Mapping[str, FakeMachine], certificates: str, revocation: str, have: str
) -> None:
    machine = platforms["azure-tdx"]
    claims = claims_of(machine)
    assert claims.ak is not None
    ak = None if have == "nothing" else dataclasses.replace(claims.ak, revocation_checked=have == "lists")
    fleet = document(
        machine, values={"azure": {"ak_certificates": certificates, "ak_revocation": revocation}}
    )
    values = documents.read(strict_json.canonical(fleet)).reference_values.formats[machine.format]
    findings = Findings()
    platform_policy.check(findings, dataclasses.replace(claims, ak=ak), values, machine.now)
    wanted = {"ak.certified"} if certificates == "required" and have == "nothing" else set[str]()
    wanted |= {"ak.revocation"} if revocation == "required" and have != "lists" else set()
    assert {check.id for check in findings.failed()} == wanted
