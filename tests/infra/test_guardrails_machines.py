"""Machines and images by value: one that is right, and what is said of it once one property is another."""

from __future__ import annotations

import base64
import copy
from collections.abc import Mapping
from typing import Any

import pytest

from infra.guardrails import images, machines
from infra.guardrails.machines import AZURE, EC2, GCE
from infra.guardrails.rule import Resource
from tests.documents.damage import example

SETTINGS = example("settings-server")
TAGS = dict.fromkeys(machines.TAGS, "x")
RIGHT: Mapping[str, dict[str, Any]] = {
    EC2: {
        "cpuOptions": {"amdSevSnp": "enabled"},
        "region": "us-east-2",
        "availabilityZone": "us-east-2a",
        "instanceType": "m6a.large",
        "metadataOptions": {"httpTokens": "required", "httpPutResponseHopLimit": 1},
        "rootBlockDevice": {"encrypted": True},
        "userDataBase64": base64.b64encode(SETTINGS).decode(),
        "tags": TAGS,
    },
    AZURE: {
        "securityProfile": {
            "securityType": "ConfidentialVM",
            "uefiSettings": {"vTpmEnabled": True, "secureBootEnabled": False},
        },
        "storageProfile": {
            "osDisk": {"managedDisk": {"securityProfile": {"securityEncryptionType": "VMGuestStateOnly"}}},
            "imageReference": {"id": "the fleet's own"},
        },
        "location": "westeurope",
        "zones": ["1"],
        "hardwareProfile": {"vmSize": "Standard_DC2as_v5"},
        "userData": base64.b64encode(SETTINGS).decode(),
        "tags": TAGS,
    },
    GCE: {
        "confidentialInstanceConfig": {"confidentialInstanceType": "TDX"},
        "zone": "europe-west4-a",
        "machineType": "c3-standard-4",
        "scheduling": {"onHostMaintenance": "TERMINATE"},
        "shieldedInstanceConfig": {"enableVtpm": True, "enableSecureBoot": False},
        "metadata": {"block-project-ssh-keys": "true", "user-data": SETTINGS.decode()},
        "labels": TAGS,
    },
    images.AMI: {
        "bootMode": "uefi",
        "tpmSupport": "v2.0",
        "imdsSupport": "v2.0",
        "architecture": "x86_64",
        "enaSupport": True,
    },
    images.DEFINITION: {
        "hyperVGeneration": "V2",
        "architecture": "x64",
        "features": [None, {"name": "SecurityType", "value": "ConfidentialVMSupported"}],
    },
    images.VERSION: {"publishingProfile": {"excludeFromLatest": True}},
    images.IMAGE: {
        "guestOsFeatures": [
            {"type": name} for name in ("UEFI_COMPATIBLE", "GVNIC", "TDX_CAPABLE", "SEV_SNP_CAPABLE")
        ]
    },
    images.BLOCK: dict.fromkeys(
        ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"), True
    ),
    images.ACCOUNT: {
        "allowBlobPublicAccess": False,
        "enableHttpsTrafficOnly": True,
        "minimumTlsVersion": "TLS1_2",
    },
    images.BUCKET: {"publicAccessPrevention": "enforced", "uniformBucketLevelAccess": True},
}
RULES = (*machines.RULES, *images.RULES)


def resource(kind: str, props: Mapping[str, Any]) -> Resource:
    return Resource(type=kind, name="r", stack="prod", parent="", protect=False, props=props)


def violated(kind: str, props: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return rule and property of each violation."""
    one = resource(kind, props)
    return {(rule.name, found.property) for rule in RULES if kind in rule.types for found in rule.check(one)}


def changed(kind: str, path: str, value: Any) -> dict[str, Any]:
    props = copy.deepcopy(RIGHT[kind])
    *above, last = path.split("/")
    inner = props
    for part in above:
        inner = inner.setdefault(part, {})
    inner[last] = value
    return props


@pytest.mark.parametrize("kind", RIGHT)
def test_what_is_right_is_let_through(kind: str) -> None:
    assert violated(kind, RIGHT[kind]) == set()


DISK = "storageProfile.osDisk.managedDisk.securityProfile.securityEncryptionType"
MISTAKES: tuple[tuple[str, str, Any, set[tuple[str, str]]], ...] = (
    (EC2, "cpuOptions/amdSevSnp", "disabled", {("confidential", "cpuOptions.amdSevSnp")}),
    (EC2, "instanceType", "t3.micro", {("known-hardware", "instanceType")}),
    (
        EC2,
        "metadataOptions/httpTokens",
        "optional",
        {("closed-metadata-service", "metadataOptions.httpTokens")},
    ),
    (EC2, "keyName", "mine", {("nobody-logs-in", "keyName")}),
    (EC2, "iamInstanceProfile", "admin", {("no-identity", "iamInstanceProfile")}),
    (EC2, "rootBlockDevice/encrypted", False, {("disks-encrypted", "rootBlockDevice.encrypted")}),
    (EC2, "userDataBase64", "IyEvYmluL3No", {("settings-only", "userDataBase64")}),
    (EC2, "userDataBase64", "!", {("settings-only", "userDataBase64")}),
    (EC2, "userData", "#!/bin/sh", {("settings-only", "userData")}),
    (EC2, "tags", {**TAGS, "tunnel-role": ""}, {("tagged", "tags.tunnel-role")}),
    (EC2, "tags", None, {("tagged", f"tags.{name}") for name in machines.TAGS}),
    (
        AZURE,
        "securityProfile/securityType",
        "TrustedLaunch",
        {("confidential", "securityProfile.securityType")},
    ),
    (AZURE, DISK.replace(".", "/"), "NonPersistedTPM", {("confidential", DISK)}),
    (AZURE, "hardwareProfile/vmSize", "Standard_B1s", {("known-hardware", "hardwareProfile.vmSize")}),
    (
        AZURE,
        "securityProfile/uefiSettings/vTpmEnabled",
        False,
        {("measured-boot", "securityProfile.uefiSettings.vTpmEnabled")},
    ),
    (AZURE, "osProfile", {"adminUsername": "me"}, {("nobody-logs-in", "osProfile")}),
    (AZURE, "identity", {"type": "SystemAssigned"}, {("no-identity", "identity")}),
    (
        AZURE,
        "storageProfile/imageReference/publisher",
        "canonical",
        {("own-gallery", "storageProfile.imageReference.publisher")},
    ),
    (
        GCE,
        "confidentialInstanceConfig/confidentialInstanceType",
        "SEV",
        {("confidential", "confidentialInstanceConfig.confidentialInstanceType")},
    ),
    (GCE, "zone", "mars-a", {("known-hardware", "zone")}),
    (
        GCE,
        "scheduling/onHostMaintenance",
        "MIGRATE",
        {("terminate-on-maintenance", "scheduling.onHostMaintenance")},
    ),
    (GCE, "minCpuPlatform", "AMD Milan", {("terminate-on-maintenance", "minCpuPlatform")}),
    (
        GCE,
        "shieldedInstanceConfig/enableSecureBoot",
        True,
        {("measured-boot", "shieldedInstanceConfig.enableSecureBoot")},
    ),
    (GCE, "metadata/startup-script", "id", {("nobody-logs-in", "metadata.startup-script")}),
    (
        GCE,
        "metadata/block-project-ssh-keys",
        "false",
        {("nobody-logs-in", "metadata.block-project-ssh-keys")},
    ),
    (GCE, "serviceAccount", {"email": "x"}, {("no-identity", "serviceAccount")}),
    (GCE, "labels", {**TAGS, "tunnel-fleet": None}, {("tagged", "labels.tunnel-fleet")}),
    (images.AMI, "bootMode", "legacy-bios", {("ami-measures", "bootMode")}),
    (images.AMI, "uefiData", "x", {("ami-measures", "uefiData")}),
    (images.DEFINITION, "features", None, {("gallery-confidential", "features.SecurityType")}),
    (
        images.VERSION,
        "publishingProfile/excludeFromLatest",
        False,
        {("no-latest", "publishingProfile.excludeFromLatest")},
    ),
    (images.IMAGE, "guestOsFeatures", [{"type": "GVNIC"}], {("guest-features", "guestOsFeatures")}),
    (images.IMAGE, "guestOsFeatures", None, {("guest-features", "guestOsFeatures")}),
    (images.BLOCK, "ignorePublicAcls", False, {("private-buckets", "ignorePublicAcls")}),
    (images.ACCOUNT, "minimumTlsVersion", "TLS1_0", {("private-buckets", "minimumTlsVersion")}),
    (images.BUCKET, "uniformBucketLevelAccess", False, {("private-buckets", "uniformBucketLevelAccess")}),
)


@pytest.mark.parametrize(("kind", "path", "value", "wanted"), MISTAKES, ids=lambda value: str(value)[:40])
def test_one_other_property_is_told(kind: str, path: str, value: Any, wanted: set[tuple[str, str]]) -> None:
    assert violated(kind, changed(kind, path, value)) == wanted


def test_sev_snp_at_google_names_its_platform() -> None:
    props = changed(GCE, "confidentialInstanceConfig/confidentialInstanceType", "SEV_SNP")
    props |= {"machineType": "n2d-standard-2", "minCpuPlatform": "AMD Milan"}
    assert violated(GCE, props) == set()
    assert violated(GCE, props | {"minCpuPlatform": None}) == {("terminate-on-maintenance", "minCpuPlatform")}


def test_no_metadata_at_all_is_told() -> None:
    assert ("nobody-logs-in", "metadata.block-project-ssh-keys") in violated(
        GCE, changed(GCE, "metadata", None)
    )


def test_a_machine_boots_an_image_of_its_own_stack() -> None:
    (rule,) = images.STACK_RULES
    digest = {"tunnel-image": "sha-1"}
    ami, machine = resource(images.AMI, {"tags": digest}), resource(EC2, {"tags": digest})
    assert list(rule.check([ami, machine])) == []
    for others, known in (([], "none"), ([resource(images.IMAGE, {"labels": digest})], "sha-1")):
        ((told, violation),) = rule.check([*others, machine])
        assert (told, violation.property) == (machine, "tags.tunnel-image")
        assert violation.remedy.endswith(known)
    ((_, violation),) = rule.check([ami, resource(GCE, {"labels": digest})])
    assert violation.property == "labels.tunnel-image"
