"""A question that a cloud does not answer is no failure and no success; and what else an account may lack."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from infra import planning
from infra.capabilities import CloudName
from infra.commands import doctor
from infra.doctor.model import Finding, room, total
from infra.fleet import FleetPlan
from tests.infra.accounts import CLOUDS, Recorded, aws, azure, bad, gcp

SKU = "az vm list-skus"
DC2AS = "westeurope Standard_DC2as_v5"


@pytest.fixture
def plan(release: dict[str, Any]) -> FleetPlan:
    return planning.load(copy.deepcopy(release), "aws-prod")


def without(cloud: CloudName, command: str) -> Recorded:
    """Return a ready account whose CLI refuses one command."""
    cli = CLOUDS[cloud]()
    cli.answers = {key: value for key, value in cli.answers.items() if not key.startswith(command)}
    return cli


@pytest.mark.parametrize(
    ("cloud", "command", "check", "fix"),
    [
        (
            "aws",
            "aws iam simulate-principal-policy",
            "rights",
            "allow iam:SimulatePrincipalPolicy, or read that list by hand; attach the policy of"
            " docs/clouds.md (least rights) to arn:aws:iam::123456789012:role/fleet",
        ),
        (
            "aws",
            "aws ec2 describe-regions",
            "us-east-2 enabled",
            "aws account enable-region --region-name us-east-2",
        ),
        (
            "aws",
            "aws ec2 describe-instance-type-offerings",
            "us-east-2 m6a.large in zones",
            "aws ec2 describe-instance-type-offerings --location-type availability-zone --filters"
            " Name=instance-type,Values=m6a.large --region us-east-2 --output json",
        ),
        (
            "aws",
            "aws ec2 describe-instance-types",
            "us-east-2 m6a.large has SEV-SNP",
            "choose a type that infra/capabilities.py lists for us-east-2",
        ),
        (
            "aws",
            "aws service-quotas get-service-quota --service-code ec2 --quota-code L-0263D0A3",
            "us-east-2 addresses",
            "aws service-quotas request-service-quota-increase --service-code ec2 --quota-code L-0263D0A3"
            " --region us-east-2 --desired-value 2",
        ),
        ("aws", "aws ec2 describe-addresses", "us-east-2 addresses", "allow ec2:DescribeAddresses"),
        (
            "azure",
            "az role assignment list",
            "roles",
            "az role assignment create --assignee me@x.test --scope /subscriptions/sub-1 --role"
            ' "Contributor"',
        ),
        (
            "azure",
            SKU,
            DC2AS,
            "az vm list-skus --location westeurope --resource-type virtualMachines --all --output table",
        ),
        (
            "azure",
            "az vm list-usage",
            "westeurope standardDCASv5Family",
            "az quota create --scope /subscriptions/sub-1/providers/Microsoft.Compute/locations/westeurope"
            " --resource-name standardDCASv5Family --limit-object value=4",
        ),
        (
            "azure",
            "az network list-usages",
            "westeurope addresses",
            "az quota create --scope /subscriptions/sub-1/providers/Microsoft.Network/locations/westeurope"
            " --resource-name StandardSkuPublicIpAddresses --limit-object value=3",
        ),
        (
            "gcp",
            "gcloud services list",
            "APIs",
            "gcloud services enable compute.googleapis.com storage.googleapis.com --project=fleet-1",
        ),
        (
            "gcp",
            "gcloud projects get-iam-policy",
            "roles",
            "gcloud projects add-iam-policy-binding fleet-1 --member=user:me@x.test"
            " --role=roles/compute.admin",
        ),
        (
            "gcp",
            "gcloud compute regions describe",
            "europe-west4 quotas",
            "gcloud compute regions describe europe-west4 --project=fleet-1 --format=json",
        ),
    ],
)
def test_what_a_cloud_does_not_answer_is_unknown_with_its_words_and_a_way_on(
    plan: FleetPlan, cloud: CloudName, command: str, check: str, fix: str
) -> None:
    found = bad(doctor.examine(plan, cloud, without(cloud, command)))
    assert set(found) == {check}, "the other questions are asked nevertheless"
    assert found[check].verdict == "unknown"
    assert found[check].detail.startswith(f"AccessDenied: {command}")
    assert found[check].fix == fix


def test_azure_s_providers_are_each_unknown(plan: FleetPlan) -> None:
    found = bad(doctor.examine(plan, "azure", without("azure", "az provider show")))
    assert {check: (finding.verdict, finding.fix) for check, finding in found.items()} == {
        f"Microsoft.{name} registered": (
            "unknown",
            f"az provider register --namespace Microsoft.{name} --wait",
        )
        for name in ("Compute", "Network", "Storage")
    }


def test_a_type_that_google_does_not_show_is_not_sold_there(plan: FleetPlan) -> None:
    command = "gcloud compute machine-types describe"
    found = bad(doctor.examine(plan, "gcp", without("gcp", command)))
    (check,) = found
    assert (check, found[check].verdict) == ("c3-standard-4 in europe-west4-a", "failed")
    assert found[check].detail.startswith(f"AccessDenied: {command} c3-standard-4 --zone=europe-west4-a")
    assert found[check].fix == (
        "choose a zone that has it:"
        ' gcloud compute machine-types list --filter="name=c3-standard-4" --project=fleet-1'
    )


def sku(**changes: Any) -> list[dict[str, Any]]:
    return [azure().answers[SKU][0] | changes]


@pytest.mark.parametrize(
    ("entries", "check", "detail", "fix"),
    [
        (
            sku(restrictions=[{"reasonCode": "NotAvailableForSubscription"}]),
            DC2AS,
            "restricted: NotAvailableForSubscription",
            "ask Azure support for Standard_DC2as_v5, or az vm list-skus --location westeurope",
        ),
        (
            sku(capabilities=[]),
            f"{DC2AS} is confidential",
            "none, want SNP",
            "choose another size: az vm list-skus",
        ),
        (
            sku(locationInfo=[{"location": "westeurope", "zones": ["2", "3"]}]),
            f"{DC2AS} in zones",
            "not in 1",
            "set the members' zones to some of 2, 3",
        ),
        (
            sku(locationInfo=[]),
            f"{DC2AS} in zones",
            "not in 1",
            "set the members' zones to some of (none)",
        ),
    ],
)
def test_a_size_of_azure_s_that_cannot_be_had_says_why(
    plan: FleetPlan, entries: list[dict[str, Any]], check: str, detail: str, fix: str
) -> None:
    cli = azure()
    cli.answers[SKU] = entries
    found = bad(doctor.examine(plan, "azure", cli))
    assert set(found) == {check}
    assert (found[check].verdict, found[check].detail) == ("failed", detail)
    assert found[check].fix.startswith(fix)


def test_a_size_is_the_one_of_that_very_name(plan: FleetPlan) -> None:
    cli = azure()
    cli.answers[SKU] = [*sku(name="Standard_DC2as_v5_Promo", restrictions=[{"reasonCode": "Old"}]), *sku()]
    assert not bad(doctor.examine(plan, "azure", cli))


def test_roles_of_others_do_not_make_machines(plan: FleetPlan) -> None:
    cli = azure()
    cli.answers["az role assignment list"] = [{"roleDefinitionName": "Storage Blob Data Owner"}]
    (finding,) = bad(doctor.examine(plan, "azure", cli)).values()
    assert (finding.check, finding.detail) == ("role for machines", "Storage Blob Data Owner")
    assert finding.fix.endswith('--scope /subscriptions/sub-1 --role "Contributor"')
    cli.answers["az role assignment list"] = []
    assert {finding.detail for finding in bad(doctor.examine(plan, "azure", cli)).values()} == {"none"}


@pytest.mark.parametrize(
    ("command", "check", "name"),
    [
        ("az vm list-usage", "westeurope standardDCASv5Family", "standardDCASv5Family"),
        ("az network list-usages", "westeurope addresses", "StandardSkuPublicIpAddresses"),
    ],
)
def test_a_quota_that_nobody_lists_is_not_taken_for_room(
    plan: FleetPlan, command: str, check: str, name: str
) -> None:
    cli = azure()
    cli.answers[command] = [{"name": {"value": "cores"}, "currentValue": 0, "limit": 100}]
    found = bad(doctor.examine(plan, "azure", cli))
    assert {check: finding.detail for check, finding in found.items()} == {
        check: f"no quota is called {name}"
    }


def test_a_family_that_google_does_not_offer_has_no_quota(plan: FleetPlan) -> None:
    cli = gcp()
    cli.answers["gcloud compute regions describe europe-west4"]["quotas"].pop(0)
    (finding,) = bad(doctor.examine(plan, "gcp", cli)).values()
    assert (finding.check, finding.verdict) == ("europe-west4 C3_CPUS", "failed")
    assert finding.detail == "no such quota: the family is not offered"
    assert "--quota-id=C3-CPUS-per-project-region" in finding.fix
    assert finding.fix.endswith("--preferred-value=8")


def test_a_user_s_rights_are_asked_of_the_user_and_dns_rights_of_who_has_a_zone(
    release: dict[str, Any],
) -> None:
    fleet = copy.deepcopy(release)
    fleet["dns"]["zones"][0]["providers"] = ["cloud_dns"]
    plan = planning.load(fleet, "aws-prod")
    cli = aws()
    user = "arn:aws:iam::123456789012:user/me"
    cli.answers["aws sts get-caller-identity"]["Arn"] = user
    cli.answers["aws iam simulate-principal-policy"] = {"EvaluationResults": []}
    doctor.examine(plan, "aws", cli)
    (asked,) = [line for line in cli.asked if "simulate-principal-policy" in line]
    assert f"--policy-source-arn {user} --action-names ec2:RunInstances" in asked
    assert "route53:" not in asked


def test_a_region_that_aws_does_not_know_is_not_enabled(plan: FleetPlan) -> None:
    cli = aws()
    cli.answers["aws ec2 describe-regions"] = {"Regions": []}
    (finding,) = bad(doctor.examine(plan, "aws", cli)).values()
    assert (finding.check, finding.verdict, finding.detail) == ("us-east-2 enabled", "failed", "unknown")


def test_a_type_that_is_sold_in_no_zone_is_another_type_s_turn(plan: FleetPlan) -> None:
    cli = aws()
    cli.answers["aws ec2 describe-instance-type-offerings"] = {"InstanceTypeOfferings": []}
    (finding,) = bad(doctor.examine(plan, "aws", cli)).values()
    assert finding.detail == "not in us-east-2a"
    assert finding.fix == "set the members' zones to some of (none: choose another type)"


def test_zones_are_asked_of_their_own_providers(release: dict[str, Any]) -> None:
    fleet = copy.deepcopy(release)
    fleet["dns"]["zones"][0]["providers"] = ["azure_dns", "cloud_dns"]
    plan = planning.load(fleet, "dns-prod")
    microsoft = {finding.check for finding in doctor.examine(plan, "azure", azure())}
    assert "Microsoft.Network registered (DNS)" in microsoft
    google = {finding.check: finding for finding in doctor.examine(plan, "gcp", gcp())}
    assert {"dns.googleapis.com", "roles/dns.admin"} <= set(google)


def test_a_service_account_of_google_s_is_named_as_one(plan: FleetPlan) -> None:
    account = "ci@fleet-1.iam.gserviceaccount.com"
    cli = gcp()
    cli.answers["gcloud auth list"] = [{"account": account}]
    cli.answers["gcloud projects get-iam-policy"] = {
        "bindings": [
            {"role": "roles/compute.admin", "members": [f"serviceAccount:{account}"]},
            {"role": "roles/storage.admin", "members": [f"user:{account}"]},
        ]
    }
    (finding,) = bad(doctor.examine(plan, "gcp", cli)).values()
    assert (finding.check, finding.detail) == ("roles/storage.admin", "not held by the account itself")
    assert f"--member=serviceAccount:{account} --role=roles/storage.admin" in finding.fix


def test_a_quota_has_room_up_to_its_last_one() -> None:
    assert room("x", limit=5, used=3, wanted=2, fix="raise it") == Finding(
        check="x", verdict="ok", detail="2 of 5 are free, the fleet takes 2"
    )
    assert room("x", limit=5, used=3, wanted=3, fix="raise it") == Finding(
        check="x", verdict="failed", detail="2 of 5 are free, the fleet takes 3", fix="raise it"
    )


def test_a_total_keeps_the_order_of_what_came_first() -> None:
    assert list(total([("b", 2), ("a", 1), ("b", 3)]).items()) == [("b", 5), ("a", 1)]
    assert total([]) == {}
