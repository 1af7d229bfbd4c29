"""What a fleet needs of an AWS account. Pure but for what it asks through `ask`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from infra.doctor.model import Answer, Ask, Finding, cores, failed, ok, room, total, unanswered
from infra.fleet import FleetPlan, MachineSpec

_CPUS = "L-1216C47A"  # Running On-Demand Standard instances, in vCPUs
_ADDRESSES = "L-0263D0A3"  # EC2-VPC Elastic IPs
_MACHINE_RIGHTS = (
    *("ec2:RunInstances", "ec2:AllocateAddress", "ec2:CreateVpc", "ec2:ImportSnapshot", "ec2:RegisterImage"),
    *("iam:CreateRole", "iam:PassRole", "s3:CreateBucket", "s3:PutObject"),
)
_DNS_RIGHTS = ("route53:CreateHostedZone", "route53:ChangeResourceRecordSets", "route53:CreateHealthCheck")


def examine(plan: FleetPlan, ask: Ask) -> Iterator[Finding]:
    """Yield what is found; without credentials nothing else is asked."""
    identity = ask(["aws", "sts", "get-caller-identity", "--output", "json"])
    if identity.value is None:
        yield unanswered("credentials", identity, "aws configure sso && aws sso login")
        return
    yield ok("credentials", f"account {identity.value['Account']}, {identity.value['Arn']}")
    yield from _rights(plan, ask, str(identity.value["Arn"]))
    machines = plan.of_cloud("aws")
    for region in sorted({spec.machine.region for spec in machines}):
        here = [spec for spec in machines if spec.machine.region == region]
        yield from _region(ask, region)
        yield from _types(ask, region, here)
        yield from _quotas(plan, ask, region, here)


def _rights(plan: FleetPlan, ask: Ask, arn: str) -> Iterator[Finding]:
    zones = any("route53" in zone.providers for zone in plan.zones)
    rights = [*_MACHINE_RIGHTS, *(_DNS_RIGHTS if zones else ())]
    # arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION: the policies are the role's.
    principal = arn
    if ":assumed-role/" in arn:
        account, role = arn.split(":")[4], arn.split("/")[1]
        principal = f"arn:aws:iam::{account}:role/{role}"
    answer = ask(
        [
            "aws",
            "iam",
            "simulate-principal-policy",
            "--policy-source-arn",
            principal,
            "--action-names",
            *rights,
            "--output",
            "json",
        ]
    )
    fix = "attach the policy of docs/clouds.md (least rights) to " + principal
    if answer.value is None:
        yield unanswered(
            "rights", answer, f"allow iam:SimulatePrincipalPolicy, or read that list by hand; {fix}"
        )
        return
    denied = [
        r["EvalActionName"] for r in answer.value["EvaluationResults"] if r["EvalDecision"] != "allowed"
    ]
    yield (
        failed("rights", f"denied: {', '.join(denied)}", fix)
        if denied
        else ok("rights", f"{len(rights)} allowed")
    )


def _region(ask: Ask, region: str) -> Iterator[Finding]:
    check = f"{region} enabled"
    fix = f"aws account enable-region --region-name {region}"
    command = [
        "aws",
        "ec2",
        "describe-regions",
        "--all-regions",
        "--region-names",
        region,
        "--output",
        "json",
    ]
    answer = ask(command)
    if answer.value is None:
        yield unanswered(check, answer, fix)
        return
    status = str(answer.value["Regions"][0]["OptInStatus"]) if answer.value["Regions"] else "unknown"
    good = status in {"opt-in-not-required", "opted-in"}
    yield ok(check, status) if good else failed(check, status, fix)


def _types(ask: Ask, region: str, machines: list[MachineSpec]) -> Iterator[Finding]:
    for kind in sorted({spec.machine.type for spec in machines}):
        check = f"{region} {kind} in zones"
        listing = ["aws", "ec2", "describe-instance-type-offerings", "--location-type", "availability-zone"]
        listing += ["--filters", f"Name=instance-type,Values={kind}", "--region", region, "--output", "json"]
        answer = ask(listing)
        if answer.value is None:
            yield unanswered(check, answer, " ".join(listing))
            continue
        sold = {str(offer["Location"]) for offer in answer.value["InstanceTypeOfferings"]}
        missing = sorted({spec.machine.zone for spec in machines if spec.machine.type == kind} - sold)
        fix = f"set the members' zones to some of {', '.join(sorted(sold)) or '(none: choose another type)'}"
        yield failed(check, f"not in {', '.join(missing)}", fix) if missing else ok(check, "sold")
        yield _snp(ask, region, kind)


def _snp(ask: Ask, region: str, kind: str) -> Finding:
    check = f"{region} {kind} has SEV-SNP"
    command = ["aws", "ec2", "describe-instance-types", "--instance-types", kind]
    answer = ask([*command, "--region", region, "--output", "json"])
    fix = f"choose a type that infra/capabilities.py lists for {region}"
    if answer.value is None:
        return unanswered(check, answer, fix)
    features = answer.value["InstanceTypes"][0].get("ProcessorInfo", {}).get("SupportedFeatures", [])
    return ok(check, "amd-sev-snp") if "amd-sev-snp" in features else failed(check, f"has {features}", fix)


def _quotas(plan: FleetPlan, ask: Ask, region: str, machines: list[MachineSpec]) -> Iterator[Finding]:
    wanted = sum(total((spec.name, cores(spec.machine.type)) for spec in machines).values())
    yield _quota(ask, region, "vCPUs", _CPUS, used=0, wanted=wanted)
    held = ask(["aws", "ec2", "describe-addresses", "--region", region, "--output", "json"])
    if held.value is None:
        yield unanswered(f"{region} addresses", held, "allow ec2:DescribeAddresses")
        return
    gateways = sum(len(net.nat_zones) for net in plan.networks if (net.cloud, net.region) == ("aws", region))
    addresses = sum(spec.public_address for spec in machines) + gateways
    yield _quota(ask, region, "addresses", _ADDRESSES, used=len(held.value["Addresses"]), wanted=addresses)


def _quota(ask: Ask, region: str, what: str, code: str, *, used: int, wanted: int) -> Finding:
    where = ["--service-code", "ec2", "--quota-code", code, "--region", region]
    answer: Answer = ask(["aws", "service-quotas", "get-service-quota", *where, "--output", "json"])
    more = ["aws", "service-quotas", "request-service-quota-increase", *where]
    fix = " ".join([*more, "--desired-value", str(used + wanted)])
    if answer.value is None:
        return unanswered(f"{region} {what}", answer, fix)
    quota: Any = answer.value["Quota"]
    return room(f"{region} {what}", limit=float(quota["Value"]), used=used, wanted=wanted, fix=fix)
