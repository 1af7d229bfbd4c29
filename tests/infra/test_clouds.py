"""What each cloud is asked for, as it goes over the wire: the confidential machine, and who may reach it."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from runtime.documents import settings
from tests.infra.conftest import Runs

pytestmark = pytest.mark.timeout(300)


def inputs(runs: Runs, kind: str) -> dict[str, Any]:
    return {
        entry["name"]: entry["inputs"]
        for entry in runs.previewed.answer["resources"]
        if entry["type"] == kind
    }


def test_ec2_runs_a_sev_snp_guest_with_a_closed_metadata_service(runs: Runs) -> None:
    machine = inputs(runs, "aws:ec2/instance:Instance")["aws-1-vm"]
    assert machine["cpuOptions"] == {"amdSevSnp": "enabled"}
    assert machine["metadataOptions"] == {
        "httpEndpoint": "enabled",
        "httpTokens": "required",
        "httpPutResponseHopLimit": 1,
        "instanceMetadataTags": "disabled",
    }
    assert machine["rootBlockDevice"]["encrypted"] is True
    assert machine["instanceType"] == "m6a.large"
    assert (machine["region"], machine["availabilityZone"]) == ("us-east-2", "us-east-2a")
    assert machine["userDataReplaceOnChange"] is True
    assert settings.read(base64.b64decode(machine["userDataBase64"])).member == "aws-1"
    assert "keyName" not in machine


def test_azure_runs_a_confidential_vm_with_a_vtpm(runs: Runs) -> None:
    machines = inputs(runs, "azure-native:compute:VirtualMachine")
    assert set(machines) == {"azure-1-vm", "client-2-vm"}
    for name, machine in machines.items():
        assert machine["securityProfile"] == {
            "securityType": "ConfidentialVM",
            "uefiSettings": {"secureBootEnabled": False, "vTpmEnabled": True},
        }
        disk = machine["storageProfile"]["osDisk"]["managedDisk"]
        assert disk["securityProfile"] == {"securityEncryptionType": "VMGuestStateOnly"}
        assert settings.read(base64.b64decode(machine["userData"])).member == name.removesuffix("-vm")
        assert "osProfile" not in machine, "the image has no account"


def test_google_runs_tdx_and_ends_on_maintenance(runs: Runs) -> None:
    machines = inputs(runs, "gcp:compute/instance:Instance")
    assert set(machines) == {"gcp-1-vm", "client-1-vm"}
    for name, machine in machines.items():
        assert machine["confidentialInstanceConfig"] == {
            "enableConfidentialCompute": True,
            "confidentialInstanceType": "TDX",
        }
        assert machine["scheduling"]["onHostMaintenance"] == "TERMINATE"
        assert machine["shieldedInstanceConfig"]["enableVtpm"] is True
        assert machine["shieldedInstanceConfig"]["enableSecureBoot"] is False
        assert machine["networkInterfaces"][0]["nicType"] == "GVNIC"
        assert "minCpuPlatform" not in machine
        assert settings.read(machine["metadata"]["user-data"].encode()).member == name.removesuffix("-vm")
        assert "serviceAccount" not in machine


def test_servers_are_open_to_three_ports(runs: Runs) -> None:
    rules = inputs(runs, "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    assert sorted(rule["fromPort"] for rule in rules.values()) == [7443, 7444, 8443]
    assert all(rule["fromPort"] == rule["toPort"] and rule["ipProtocol"] == "tcp" for rule in rules.values())
    group = inputs(runs, "azure-native:network:NetworkSecurityGroup")["azure-1-firewall"]
    allowed = [rule["destinationPortRange"] for rule in group["securityRules"] if rule["access"] == "Allow"]
    assert sorted(allowed) == ["7443", "7444", "8443"]
    firewall = inputs(runs, "gcp:compute/firewall:Firewall")["gcp-1-firewall"]
    assert firewall["allows"] == [{"protocol": "tcp", "ports": ["8443", "7443", "7444"]}]
    assert firewall["targetTags"] == ["gcp-1"]


def test_nothing_is_open_to_reach_a_client(runs: Runs) -> None:
    assert set(inputs(runs, "gcp:compute/firewall:Firewall")) == {"gcp-1-firewall"}, (
        "the network denies the rest"
    )
    group = inputs(runs, "azure-native:network:NetworkSecurityGroup")["client-2-firewall"]
    assert [(rule["access"], rule["destinationPortRange"]) for rule in group["securityRules"]] == [
        ("Deny", "*")
    ]
    client = inputs(runs, "gcp:compute/instance:Instance")["client-1-vm"]
    assert "accessConfigs" not in client["networkInterfaces"][0], "it leaves by Cloud NAT"
    assert set(inputs(runs, "gcp:compute/routerNat:RouterNat")) == {"gcp-europe-west4-nat"}


def test_servers_have_static_addresses(runs: Runs) -> None:
    assert set(inputs(runs, "aws:ec2/eip:Eip")) == {"aws-1-address"}
    addresses = inputs(runs, "azure-native:network:PublicIPAddress")
    assert set(addresses) == {"azure-1-address", "client-2-address"}
    assert all(address["publicIPAllocationMethod"] == "Static" for address in addresses.values())
    assert set(inputs(runs, "gcp:compute/address:Address")) == {"gcp-1-address"}
