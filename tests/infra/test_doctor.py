"""What the clouds' CLIs answer, in the shapes that they document, and what is made of it."""

from __future__ import annotations

import copy
import subprocess
from typing import Any

import pytest

from infra import planning, seen
from infra.commands import doctor
from infra.doctor.model import cores
from infra.fleet import FleetPlan
from tests.infra.accounts import CLOUDS, Recorded, aws, bad

WRITES = (
    "create",
    "put",
    "delete",
    "register",
    "update",
    "enable",
    "set",
    "add",
    "run",
    "request",
    "request-",
)


@pytest.fixture
def plan(release: dict[str, Any]) -> FleetPlan:
    return planning.load(copy.deepcopy(release), "aws-prod")


@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
def test_a_ready_account_has_nothing_to_mend_and_is_only_asked(plan: FleetPlan, cloud: Any) -> None:
    cli = CLOUDS[cloud]()
    found = doctor.examine(plan, cloud, cli)
    assert not bad(found), bad(found)
    assert len(found) >= 7
    for line in cli.asked:
        verbs = [word for word in line.split() if not word.startswith("-")][1:4]
        assert not any(verb.split("-")[0] in WRITES for verb in verbs), line


@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
def test_without_credentials_nothing_else_is_asked(plan: FleetPlan, cloud: Any) -> None:
    cli = Recorded({})
    found = doctor.examine(plan, cloud, cli)
    assert [(finding.check, finding.verdict) for finding in found] == [("credentials", "unknown")]
    assert "login" in found[0].fix
    assert len(cli.asked) == 1


@pytest.mark.parametrize(
    ("cloud", "command", "answer", "check", "fix"),
    [
        (
            "aws",
            "aws iam simulate-principal-policy",
            {"EvaluationResults": [{"EvalActionName": "iam:PassRole", "EvalDecision": "implicitDeny"}]},
            "rights",
            "attach the policy of docs/clouds.md",
        ),
        (
            "aws",
            "aws ec2 describe-regions",
            {"Regions": [{"OptInStatus": "not-opted-in"}]},
            "us-east-2 enabled",
            "aws account enable-region --region-name us-east-2",
        ),
        (
            "aws",
            "aws ec2 describe-instance-type-offerings",
            {"InstanceTypeOfferings": [{"Location": "us-east-2b"}]},
            "us-east-2 m6a.large in zones",
            "set the members' zones to some of us-east-2b",
        ),
        (
            "aws",
            "aws ec2 describe-instance-types",
            {"InstanceTypes": [{"ProcessorInfo": {}}]},
            "us-east-2 m6a.large has SEV-SNP",
            "choose a type that infra/capabilities.py lists for us-east-2",
        ),
        (
            "aws",
            "aws service-quotas get-service-quota --service-code ec2 --quota-code L-1216C47A",
            {"Quota": {"Value": 1.0}},
            "us-east-2 vCPUs",
            "aws service-quotas request-service-quota-increase --service-code ec2 --quota-code L-1216C47A"
            " --region us-east-2 --desired-value 2",
        ),
        (
            "aws",
            "aws ec2 describe-addresses",
            {"Addresses": [{}] * 5},
            "us-east-2 addresses",
            "--quota-code L-0263D0A3 --region us-east-2 --desired-value 6",
        ),
        (
            "azure",
            "az provider show --namespace Microsoft.Compute",
            {"registrationState": "NotRegistered"},
            "Microsoft.Compute registered",
            "az provider register --namespace Microsoft.Compute --wait",
        ),
        (
            "azure",
            "az role assignment list",
            [{"roleDefinitionName": "Contributor"}],
            "role for the image's blob",
            'create --assignee me@x.test --scope /subscriptions/sub-1 --role "Storage Blob Data Contributor"',
        ),
        (
            "azure",
            "az vm list-skus",
            [],
            "westeurope Standard_DC2as_v5",
            "az vm list-skus --location westeurope",
        ),
        (
            "azure",
            "az vm list-usage",
            [{"name": {"value": "standardDCASv5Family"}, "currentValue": 8, "limit": 10}],
            "westeurope standardDCASv5Family",
            "--resource-name standardDCASv5Family --limit-object value=12",
        ),
        (
            "azure",
            "az network list-usages",
            [{"name": {"value": "StandardSkuPublicIpAddresses"}, "currentValue": 20, "limit": 20}],
            "westeurope addresses",
            "--resource-name StandardSkuPublicIpAddresses --limit-object value=23",
        ),
        ("gcp", "gcloud auth list", [], "credentials", "gcloud auth login"),
        ("gcp", "gcloud config get-value project", None, "project", "gcloud config set project"),
        (
            "gcp",
            "gcloud services list",
            [{"config": {"name": "storage.googleapis.com"}}],
            "compute.googleapis.com",
            "gcloud services enable compute.googleapis.com --project=fleet-1",
        ),
        (
            "gcp",
            "gcloud projects get-iam-policy",
            {"bindings": [{"role": "roles/storage.admin", "members": ["user:me@x.test"]}]},
            "roles/compute.admin",
            "--member=user:me@x.test --role=roles/compute.admin",
        ),
        (
            "gcp",
            "gcloud compute regions describe europe-west4",
            {"quotas": [{"metric": "C3_CPUS", "limit": 4, "usage": 0}]},
            "europe-west4 C3_CPUS",
            "--quota-id=C3-CPUS-per-project-region --dimensions=region=europe-west4 --preferred-value=8",
        ),
    ],
)
def test_a_failure_comes_with_what_mends_it(
    plan: FleetPlan, cloud: Any, command: str, answer: Any, check: str, fix: str
) -> None:
    cli = CLOUDS[cloud]()
    cli.answers = {key: value for key, value in cli.answers.items() if not key.startswith(command)}
    cli.answers[command] = answer
    found = bad(doctor.examine(plan, cloud, cli))
    assert fix in found[check].fix, found
    assert f"fix: {found[check].fix}" in doctor.text(found[check])


def test_an_answer_of_an_unknown_form_is_a_finding(plan: FleetPlan) -> None:
    cli = aws()
    cli.answers["aws sts get-caller-identity"] = {"account": "?"}
    assert "answered in a form that is not known" in bad(doctor.examine(plan, "aws", cli))["answers"].detail


def test_a_cli_that_is_missing_or_fails_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.ask(["no-such-cli-anywhere"]).error == "no-such-cli-anywhere is not installed"
    assert doctor.ask(["sh", "-c", "echo denied >&2; exit 3"]).error == "denied"
    assert doctor.ask(["sh", "-c", "echo x"]).error.endswith("answered no JSON")
    assert doctor.ask(["sh", "-c", "echo '{\"a\": 1}'"]).value == {"a": 1}

    def slow(*_: Any, **__: Any) -> Any:
        raise subprocess.TimeoutExpired("x", 1)

    monkeypatch.setattr(subprocess, "run", slow)
    assert doctor.ask(["x"]).value is None


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("m6a.large", 2),
        ("c6a.xlarge", 4),
        ("r6a.4xlarge", 16),
        ("c3-standard-22", 22),
        ("n2d-standard-2", 2),
        ("Standard_DC96as_v6", 96),
        ("Standard_EC2ads_v5", 2),
    ],
)
def test_a_type_s_name_says_its_vcpus(kind: str, expected: int) -> None:
    assert cores(kind) == expected


def test_delegation_is_held_against_the_world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "name_servers", lambda _: frozenset({"ns1.x.", "ns2.x."}))
    assert [
        finding.verdict for finding in doctor.delegation({"nameServers": {"a.test": ["ns2.x", "ns1.x."]}})
    ] == ["ok"]
    wrong = doctor.delegation({"nameServers": {"a.test": ["ns3.x."]}})[0]
    assert wrong.fix == "tell the registrar of a.test, or the zone above it: NS ns3.x."
