"""A slip in a resource's inputs is found from the SDK's own types, with the nearest right word."""

from __future__ import annotations

from typing import Any

import pytest

from infra.localmock.inputs import check
from infra.localmock.wire import UNKNOWN

pytestmark = [
    pytest.mark.timeout(120),  # each SDK module is imported once, for seconds
    pytest.mark.filterwarnings(
        "ignore:.*has been deprecated in favor of:DeprecationWarning"
    ),  # by the SDKs' own
]

INSTANCE = "aws:ec2/instance:Instance"
VM = "azure-native:compute:VirtualMachine"
RECORD = "aws:route53/record:Record"
RULE = {"access": "Allow", "direction": "Inbound", "protocol": "Tcp"}
GCE = "gcp:compute/instance:Instance"


def told(token: str, inputs: dict[str, Any]) -> list[str]:
    return [str(problem) for problem in check(token, inputs)]


GOOD_GCE: dict[str, Any] = {
    "machineType": "c3-standard-4",
    "bootDisk": {"initializeParams": {"image": "x"}},
    "networkInterfaces": [{"nicType": "GVNIC"}],
}


@pytest.mark.parametrize(
    ("token", "inputs", "expected"),
    [
        (INSTANCE, {"cpuOptions": {"amdSevSnpp": "enabled"}}, "$.cpuOptions.amdSevSnpp: unknown field"),
        (INSTANCE, {"cpuOptions": {"amdSevSnpp": "enabled"}}, "did you mean 'amdSevSnp'?"),
        (
            INSTANCE,
            {"cpuOptions": {"amdSevSnp": "enable"}},
            "amdSevSnp: is 'enable', want one of enabled",
        ),
        (INSTANCE, {"metadataOptions": {"httpTokens": "requird"}}, "did you mean 'required'?"),
        (INSTANCE, {"metadataOptions": {"httpPutResponseHopLimit": "1"}}, "is '1', want int"),
        (INSTANCE, {"rootBlockDevice": {"encrypted": "yes"}}, "is 'yes', want bool"),
        (INSTANCE, {"rootBlockDevice": []}, "is [], want"),
        (INSTANCE, {"vpcSecurityGroupIds": "sg-1"}, "is 'sg-1', want a list"),
        (INSTANCE, {"tags": {"a": 1}}, "$.tags.a: is 1, want str"),
        (
            "aws:route53/record:Record",
            {"zoneId": "z", "name": "x", "type": "AA"},
            "$.type: is 'AA', want one of A",
        ),
        ("aws:route53/record:Record", {"name": "x", "type": "A"}, "$.zoneId: is missing"),
        (
            VM,
            {"resourceGroupName": "g", "securityProfile": {"securityType": "ConfidentialVm"}},
            "did you mean 'ConfidentialVM'?",
        ),
        (VM, {}, "$.resourceGroupName: is missing"),
        (
            VM,
            {"resourceGroupName": "g", "storageProfile": {"osDisk": {}}},
            "$.storageProfile.osDisk.createOption: is missing",
        ),
        (
            "azure-native:network:NetworkSecurityGroup",
            {
                "resourceGroupName": "g",
                "securityRules": [{"access": "Alow", "direction": "Inbound", "protocol": "Tcp"}],
            },
            "$.securityRules[0].access: is 'Alow', want one of Allow, Deny",
        ),
        (
            GCE,
            GOOD_GCE | {"scheduling": {"onHostMaintenance": "TERM"}},
            "onHostMaintenance: is 'TERM'",
        ),
        (
            GCE,
            GOOD_GCE | {"confidentialInstanceConfig": {"confidentialInstanceType": "TXD"}},
            "did you mean 'TDX'?",
        ),
        (GCE, {"machineType": "x", "bootDisk": {}}, "$.networkInterfaces: is missing"),
        ("aws:ec2/instence:Instence", {}, "did you mean 'aws:ec2/instance:Instance'?"),
        ("asw:ec2/instance:Instance", {}, "unknown provider 'asw'; did you mean 'aws'?"),
    ],
)
def test_a_slip_is_found(token: str, inputs: dict[str, Any], expected: str) -> None:
    assert any(expected in line for line in told(token, inputs)), told(token, inputs)


def test_all_slips_of_a_resource_come_at_once() -> None:
    wrong = {"cpuOptions": {"amdSevSnpp": "on"}, "metadataOptions": {"httpTokens": "x"}, "amii": "a"}
    lines = told(INSTANCE, wrong)
    assert len(lines) == 3


def test_what_only_up_will_tell_passes() -> None:
    assert (
        told(INSTANCE, {"subnetId": UNKNOWN, "vpcSecurityGroupIds": [UNKNOWN], "cpuOptions": UNKNOWN}) == []
    )
    assert told(GCE, GOOD_GCE) == []


def test_a_size_that_the_sdk_does_not_know_yet_passes() -> None:
    # infra/capabilities.py is the rule for sizes: the SDK's own list has no confidential one.
    assert told(VM, {"resourceGroupName": "g", "hardwareProfile": {"vmSize": "Standard_DC2as_v6"}}) == []
