"""Guardrails of machines: confidential, measured, without anybody's key, on hardware that is known. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any

from infra import capabilities
from infra.capabilities import CloudName, TeeName
from infra.guardrails.rule import Resource, ResourceRule, Violation, forbids, wants
from runtime.documents import settings
from runtime.errors import DocumentError

EC2 = "aws:ec2/instance:Instance"
AZURE = "azure-native:compute:VirtualMachine"
GCE = "gcp:compute/instance:Instance"
MACHINES = (EC2, AZURE, GCE)
TAGS = ("tunnel-fleet", "tunnel-environment", "tunnel-member", "tunnel-role", "tunnel-image")

_NOT_CONFIDENTIAL = "without it the memory is the provider's to read"
_GCE_TEES: Mapping[str, TeeName] = {"TDX": "tdx", "SEV_SNP": "sev-snp"}
_LOGIN_METADATA = ("ssh-keys", "sshKeys", "startup-script", "startup-script-url", "serial-port-enable")


def tags(resource: Resource) -> Mapping[str, Any]:
    """Return a resource's tags, which Google calls labels."""
    return resource.at("labels" if resource.type.startswith("gcp:") else "tags") or {}


def _confidential(machine: Resource) -> Iterator[Violation]:
    match machine.type:
        case "aws:ec2/instance:Instance":
            yield from wants(machine, "cpuOptions.amdSevSnp", "enabled", _NOT_CONFIDENTIAL)
        case "azure-native:compute:VirtualMachine":
            yield from wants(machine, "securityProfile.securityType", "ConfidentialVM", _NOT_CONFIDENTIAL)
            path = "storageProfile.osDisk.managedDisk.securityProfile.securityEncryptionType"
            if machine.at(path) not in {"VMGuestStateOnly", "DiskWithVMGuestState"}:
                why = "VMGuestStateOnly or DiskWithVMGuestState: the vTPM's state is sealed to the machine"
                yield Violation(property=path, value=machine.at(path), remedy=why)
        case _:
            path = "confidentialInstanceConfig.confidentialInstanceType"
            if machine.at(path) not in _GCE_TEES:
                why = f"one of {', '.join(_GCE_TEES)}: {_NOT_CONFIDENTIAL}"
                yield Violation(property=path, value=machine.at(path), remedy=why)


def _known_hardware(machine: Resource) -> Iterator[Violation]:
    cloud: CloudName
    match machine.type:
        case "aws:ec2/instance:Instance":
            cloud, where, kind, tee = "aws", "region", "instanceType", "sev-snp"
            region, zone = machine.at("region"), machine.at("availabilityZone")
        case "azure-native:compute:VirtualMachine":
            # One size has one TEE there; the table says which.
            cloud, where, kind, tee = "azure", "location", "hardwareProfile.vmSize", ""
            region, zone = machine.at("location"), machine.at("zones.0")
        case _:
            cloud, where, kind = "gcp", "zone", "machineType"
            tee = _GCE_TEES.get(machine.at("confidentialInstanceConfig.confidentialInstanceType"), "tdx")
            zone = machine.at("zone")
            region = str(zone).rpartition("-")[0]
    _, mistakes = capabilities.choose(
        cloud=cloud, region=str(region), zone=str(zone or ""), machine_type=str(machine.at(kind)), tee=tee
    )
    places = {"type": kind, "region": where, "zone": where, "tee": kind}
    for key, message in mistakes:
        yield Violation(
            property=places[key],
            value=machine.at(places[key]),
            remedy=f"a row of infra/capabilities.py: it {message}",
        )


def _maintenance(machine: Resource) -> Iterator[Violation]:
    why = "a confidential machine cannot move while it runs"
    yield from wants(machine, "scheduling.onHostMaintenance", "TERMINATE", why)
    if machine.at("confidentialInstanceConfig.confidentialInstanceType") == "SEV_SNP":
        yield from wants(machine, "minCpuPlatform", "AMD Milan", "SEV-SNP is offered on nothing else")
    else:
        yield from forbids(machine, "minCpuPlatform", "a TDX machine names no platform")


def _measured_boot(machine: Resource) -> Iterator[Violation]:
    if machine.type == AZURE:
        vtpm, secure = (
            "securityProfile.uefiSettings.vTpmEnabled",
            "securityProfile.uefiSettings.secureBootEnabled",
        )
    else:
        vtpm, secure = "shieldedInstanceConfig.enableVtpm", "shieldedInstanceConfig.enableSecureBoot"
    yield from wants(machine, vtpm, True, "without a vTPM nothing is measured")
    yield from wants(machine, secure, False, "the image is unsigned and its PCR 4 is pinned instead")


def _metadata_service(machine: Resource) -> Iterator[Violation]:
    yield from wants(machine, "metadataOptions.httpTokens", "required", "IMDSv1 answers forged requests")
    yield from wants(
        machine, "metadataOptions.httpPutResponseHopLimit", 1, "nobody behind the machine may ask"
    )


def _nobody_logs_in(machine: Resource) -> Iterator[Violation]:
    why = "the image has no account, and what could log in could read memory"
    match machine.type:
        case "aws:ec2/instance:Instance":
            yield from forbids(machine, "keyName", why)
        case "azure-native:compute:VirtualMachine":
            yield from forbids(machine, "osProfile", f"{why}; agents and extensions come with it")
        case _:
            metadata = machine.at("metadata") or {}
            for key in _LOGIN_METADATA:
                if key in metadata:
                    yield Violation(property=f"metadata.{key}", value="set", remedy=f"nothing there: {why}")
            yield from wants(machine, "metadata.block-project-ssh-keys", "true", why)


def _no_identity(machine: Resource) -> Iterator[Violation]:
    why = "a member needs no right at its cloud, so it holds none"
    path = {EC2: "iamInstanceProfile", AZURE: "identity", GCE: "serviceAccount"}[machine.type]
    yield from forbids(machine, path, why)


def _disks(machine: Resource) -> Iterator[Violation]:
    why = "the disk is public and verity-checked, encryption at rest costs nothing"
    yield from wants(machine, "rootBlockDevice.encrypted", True, why)


def _settings(machine: Resource) -> Iterator[Violation]:
    """What a machine boots with is settings and nothing else: no script, no secret, no cloud-config."""
    path = {EC2: "userDataBase64", AZURE: "userData", GCE: "metadata.user-data"}[machine.type]
    text = machine.at(path)
    why = "the settings that infra/settings.py writes: nothing else is measured, and they hold no secret"
    try:
        data = str(text).encode() if machine.type == GCE else base64.b64decode(str(text), validate=True)
        settings.read(data)
    except (binascii.Error, DocumentError) as error:
        yield Violation(property=path, value=str(text)[:40], remedy=f"{why} ({str(error).splitlines()[0]})")
    if machine.type == EC2:
        yield from forbids(machine, "userData", "userDataBase64 has the exact bytes")


def _tags(machine: Resource) -> Iterator[Violation]:
    path = "labels" if machine.type == GCE else "tags"
    found = tags(machine)
    for name in TAGS:
        if not found.get(name):
            yield Violation(property=f"{path}.{name}", value=None, remedy="a value: tags tell whose it is")


RULES = (
    ResourceRule(name="confidential", description="memory is encrypted", types=MACHINES, check=_confidential),
    ResourceRule(
        name="known-hardware",
        description="type, TEE, region and zone are in the capability table",
        types=MACHINES,
        check=_known_hardware,
    ),
    ResourceRule(
        name="terminate-on-maintenance",
        description="confidential machines do not migrate",
        types=(GCE,),
        check=_maintenance,
    ),
    ResourceRule(
        name="measured-boot",
        description="a vTPM, and Secure Boot as the image was made",
        types=(AZURE, GCE),
        check=_measured_boot,
    ),
    ResourceRule(
        name="closed-metadata-service", description="IMDSv2 only", types=(EC2,), check=_metadata_service
    ),
    ResourceRule(
        name="nobody-logs-in",
        description="no key, account, agent or start-up script",
        types=MACHINES,
        check=_nobody_logs_in,
    ),
    ResourceRule(
        name="no-identity", description="machines hold no cloud identity", types=MACHINES, check=_no_identity
    ),
    ResourceRule(name="disks-encrypted", description="encrypted at rest", types=(EC2,), check=_disks),
    ResourceRule(
        name="settings-only", description="user data is boot settings", types=MACHINES, check=_settings
    ),
    ResourceRule(name="tagged", description="every machine says whose it is", types=MACHINES, check=_tags),
)
