"""Accounts that are ready for the release fleet, as the clouds' own CLIs show them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

from infra.capabilities import CloudName
from infra.doctor.model import Answer, Finding


class Recorded:
    """A cloud's CLI: the answer of the longest recorded command that the asked one begins with."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def __call__(self, command: Sequence[str]) -> Answer:
        line = " ".join(command)
        self.asked.append(line)
        fitting = [key for key in self.answers if line.startswith(key)]
        if not fitting:
            return Answer(value=None, error=f"AccessDenied: {line}")
        return Answer(value=copy.deepcopy(self.answers[max(fitting, key=len)]), error="")


RIGHTS = [
    *("ec2:RunInstances", "ec2:AllocateAddress", "ec2:CreateVpc", "ec2:ImportSnapshot", "ec2:RegisterImage"),
    *("iam:CreateRole", "iam:PassRole", "s3:CreateBucket", "s3:PutObject"),
    *("route53:CreateHostedZone", "route53:ChangeResourceRecordSets", "route53:CreateHealthCheck"),
]


def aws() -> Recorded:
    return Recorded(
        {
            "aws sts get-caller-identity": {
                "UserId": "AROA:me",
                "Account": "123456789012",
                "Arn": "arn:aws:sts::123456789012:assumed-role/fleet/me",
            },
            "aws iam simulate-principal-policy --policy-source-arn arn:aws:iam::123456789012:role/fleet": {
                "EvaluationResults": [{"EvalActionName": name, "EvalDecision": "allowed"} for name in RIGHTS]
            },
            "aws ec2 describe-regions": {
                "Regions": [{"RegionName": "us-east-2", "OptInStatus": "opt-in-not-required"}]
            },
            "aws ec2 describe-instance-type-offerings": {
                "InstanceTypeOfferings": [
                    {"InstanceType": "m6a.large", "Location": f"us-east-2{letter}"} for letter in "abc"
                ]
            },
            "aws ec2 describe-instance-types": {
                "InstanceTypes": [
                    {"InstanceType": "m6a.large", "ProcessorInfo": {"SupportedFeatures": ["amd-sev-snp"]}}
                ]
            },
            "aws service-quotas get-service-quota --service-code ec2 --quota-code L-1216C47A": {
                "Quota": {"QuotaName": "Running On-Demand Standard instances", "Value": 32.0}
            },
            "aws service-quotas get-service-quota --service-code ec2 --quota-code L-0263D0A3": {
                "Quota": {"QuotaName": "EC2-VPC Elastic IPs", "Value": 5.0}
            },
            "aws ec2 describe-addresses": {"Addresses": [{"PublicIp": "192.0.2.1"}]},
        }
    )


def azure() -> Recorded:
    sku = {
        "name": "Standard_DC2as_v5",
        "family": "standardDCASv5Family",
        "restrictions": [],
        "locationInfo": [{"location": "westeurope", "zones": ["1", "2"]}],
        "capabilities": [{"name": "ConfidentialComputingType", "value": "SNP"}],
    }
    return Recorded(
        {
            "az account show": {
                "id": "sub-1",
                "state": "Enabled",
                "user": {"name": "me@x.test", "type": "user"},
            },
            "az provider show": {"registrationState": "Registered"},
            "az role assignment list": [
                {"roleDefinitionName": "Contributor"},
                {"roleDefinitionName": "Storage Blob Data Contributor"},
            ],
            "az vm list-skus": [sku],
            "az vm list-usage": [
                {"name": {"value": "standardDCASv5Family"}, "currentValue": "0", "limit": "10"}
            ],
            "az network list-usages": [
                {"name": {"value": "StandardSkuPublicIPAddresses"}, "currentValue": 1, "limit": 20}
            ],
        }
    )


def gcp() -> Recorded:
    return Recorded(
        {
            "gcloud auth list": [{"account": "me@x.test", "status": "ACTIVE"}],
            "gcloud config get-value project": "fleet-1",
            "gcloud services list": [
                {"config": {"name": f"{name}.googleapis.com"}} for name in ("compute", "storage", "dns")
            ],
            "gcloud projects get-iam-policy": {
                "bindings": [{"role": "roles/owner", "members": ["user:me@x.test"]}]
            },
            "gcloud compute machine-types describe c3-standard-4": {"name": "c3-standard-4"},
            "gcloud compute regions describe europe-west4": {
                "quotas": [
                    {"metric": "C3_CPUS", "limit": 24.0, "usage": 0.0},
                    {"metric": "STATIC_ADDRESSES", "limit": 8.0, "usage": 1.0},
                ]
            },
        }
    )


CLOUDS: dict[CloudName, Callable[[], Recorded]] = {"aws": aws, "azure": azure, "gcp": gcp}


def bad(found: list[Finding]) -> dict[str, Finding]:
    """Return what is not well, by what was looked at."""
    return {finding.check: finding for finding in found if finding.verdict != "ok"}
