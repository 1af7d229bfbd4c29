"""Settings are in a register, once; a member is one machine, as its platform names it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

import pytest

from runtime.attestation import member_policy
from runtime.attestation.findings import Findings
from runtime.attestation.member_policy import MachineName, Subject
from runtime.attestation.tees import MachineClaims
from runtime.documents import settings
from runtime.documents.fleet import Instance
from tests.attestation.platforms import appraise, claims_of, document, read, refused
from tests.attestation.scene import Scene
from tests.fakes import azure
from tests.fakes.amd import CSP_ID, FakeAmd
from tests.fakes.machines import BINDER, SETTINGS, FakeMachine

BANKS: Mapping[str, settings.Bank] = {
    "aws-snp-nitrotpm": "sha384",
    "azure-snp": "sha256",
    "azure-tdx": "sha256",
    "gcp-snp": "sha256",
    "qemu-tpm": "sha256",
    "aws-nitrotpm": "sha384",
}
OTHERS = {
    "aws-snp-nitrotpm": ("aws_instance_id", "i-01cfb383223e4252"),
    "azure-snp": ("azure_vm_unique_id", "8d9962f0-6a8a-4a65-b0f9-881ba6515ba9"),
    "azure-tdx": ("azure_vm_unique_id", "8d9962f0-6a8a-4a65-b0f9-881ba6515ba9"),
    "gcp-snp": ("gcp_instance_id", "341424064822548583"),
    "gcp-tdx": ("gcp_instance_id", "34142406482254858360"),
    "qemu-tpm": ("tpm_ak_name", "000b" + "01" * 32),
    "aws-nitrotpm": ("aws_instance_id", "i-01cfb383223e42522-tpm"),
}


@pytest.mark.parametrize(("form", "bank"), BANKS.items())
def test_pcr14_holds_the_settings_once(
    platforms: Mapping[str, FakeMachine], form: str, bank: settings.Bank
) -> None:
    size = 32 if bank == "sha256" else 48
    once = settings.register(SETTINGS, bank)
    zero = refused(platforms[form], registers={14: bytes(size)})
    assert set(zero) == {"settings.register"}
    assert "zeros" in zero["settings.register"].actual
    extended = settings.extended(SETTINGS, bank)
    for value in (
        once[:-1] + bytes([once[-1] ^ 1]),
        extended,
        settings.register(sha256(b"other").digest(), bank),
    ):
        assert set(refused(platforms[form], registers={14: value})) == {"settings.register"}


def test_rtmr3_holds_the_settings_once(platforms: Mapping[str, FakeMachine]) -> None:
    for value in (bytes(48), settings.register(sha256(b"other").digest(), "sha384")):
        failed = refused(platforms["gcp-tdx"], tdx={"td": {"rtmr3": value}})
        assert set(failed) == {"settings.register"}


@pytest.mark.parametrize(("form", "other"), OTHERS.items())
def test_another_machine_is_nobody(
    platforms: Mapping[str, FakeMachine], form: str, other: tuple[str, str]
) -> None:
    kind, value = other
    fleet = document(platforms[form], member={"instance": {"kind": kind, "value": value}})
    assert set(refused(platforms[form], fleet)) == {"member.instance"}


def test_a_name_of_another_kind_is_not_this_machines(platforms: Mapping[str, FakeMachine]) -> None:
    value = platforms["gcp-tdx"].instance["value"]
    fleet = document(platforms["gcp-tdx"], member={"instance": {"kind": "aws_instance_id", "value": value}})
    assert set(refused(platforms["gcp-tdx"], fleet)) == {"member.instance"}


def test_azure_spells_one_machine_in_both_cases_and_a_document_in_one(
    platforms: Mapping[str, FakeMachine],
) -> None:
    machine = platforms["azure-tdx"]
    for spelt in (azure.VM_UNIQUE_ID.upper(), azure.VM_UNIQUE_ID.lower()):
        said = azure.runtime()["vm-configuration"] | {"vmUniqueId": spelt}
        assert appraise(machine, runtime={"vm-configuration": said}).instance == azure.VM_UNIQUE_ID.lower()


def test_a_report_alone_names_its_chip_and_its_hosts_word(scene: Callable[..., Scene]) -> None:
    made = scene()
    assert made.accept().instance == made.chip.chip_id.hex()
    assert scene(fields={"host_data": bytes(32)}).refuse() == {"settings.digest"}
    assert scene(member={"chip_id": b"\x01" * 64}).refuse() == {"member.instance"}
    grades = dict.fromkeys(("server", "client", "key_receiver"), "N")
    production = {"purpose": "production", "least_grade": grades}
    assert "settings.register" in scene(document=production).refuse()


def test_a_vlek_names_no_chip(amd: FakeAmd, scene: Callable[..., Scene]) -> None:
    chip = amd.chip("nowhere", "Milan", signer="vlek", days=3650)
    values = {"signers": ["vlek"], "csp_ids": [CSP_ID]}
    assert scene(chip=chip, snp=values).refuse() == {"member.instance"}


def failed(machine: FakeMachine, claims: MachineClaims, **changes: Any) -> set[str]:
    """Return what `check_member` says of the member, with changes of the subject or its instance."""
    member = read(machine.document()).members[0]
    if "instance" in changes:
        member = dataclasses.replace(member, instance=changes.pop("instance"))
    right: dict[str, Any] = {"role": "client", "binder": BINDER, "settings_digest": SETTINGS, "evidence": b""}
    findings = Findings()
    member_policy.check_member(findings, claims, Subject(member=member, **(right | changes)))
    return {check.id for check in findings.failed()}


def test_a_member_acts_in_its_own_role(platforms: Mapping[str, FakeMachine]) -> None:
    machine = platforms["gcp-tdx"]
    assert failed(machine, claims_of(machine)) == set()
    assert failed(machine, claims_of(machine), role="server") == {"member.role"}


def test_the_same_value_of_another_kind_is_another_machine(platforms: Mapping[str, FakeMachine]) -> None:
    machine = platforms["gcp-tdx"]
    other = Instance(kind="azure_vm_unique_id", value=machine.instance["value"])
    assert failed(machine, claims_of(machine), instance=other) == {"member.instance"}


def test_what_names_no_machine_is_nobody(platforms: Mapping[str, FakeMachine]) -> None:
    machine = platforms["gcp-snp"]
    claims = dataclasses.replace(claims_of(machine), instance=None)
    assert claims.snp is not None
    assert member_policy.machine_name(claims).value == claims.snp.chip_id.hex()
    vlek = dataclasses.replace(claims, snp=dataclasses.replace(claims.snp, signer="vlek"))
    for unnamed in (vlek, dataclasses.replace(claims, snp=None)):
        assert member_policy.machine_name(unnamed).value == ""
        for value in ("", claims.snp.chip_id.hex()):
            nobody = Instance(kind="chip_id", value=value)
            assert failed(machine, unnamed, instance=nobody) == {"member.instance"}


@pytest.mark.parametrize(
    ("kind", "value", "instance"),
    [
        ("aws_instance_id", "i-01cfb383223e42522-tpm0000000000000000", "i-01cfb383223e42522"),
        (
            "aws_instance_id",
            "i-01cfb383223e42522-tpm000000000000000",
            "i-01cfb383223e42522-tpm000000000000000",
        ),
        ("gcp_instance_id", "7-tpm0000000000000000", "7-tpm0000000000000000"),
    ],
)
def test_an_instance_is_observed_as_a_document_names_it(kind: str, value: str, instance: str) -> None:
    name = MachineName(kind=kind, value=value, source="somebody")
    assert member_policy.instance_of(name) == instance
