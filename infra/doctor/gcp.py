"""What a fleet needs of a Google Cloud project. Pure but for what it asks through `ask`."""

from __future__ import annotations

from collections.abc import Iterator

from infra.doctor.model import Ask, Finding, cores, failed, ok, room, total, unanswered
from infra.fleet import FleetPlan, MachineSpec

_ALL = {"roles/owner", "roles/editor"}
_FAMILIES = {"c3": "C3_CPUS", "n2d": "N2D_CPUS"}


def examine(plan: FleetPlan, ask: Ask) -> Iterator[Finding]:
    """Yield what is found; without credentials and a project nothing else is asked."""
    active = ask(["gcloud", "auth", "list", "--filter=status:ACTIVE", "--format=json"])
    login = "gcloud auth login && gcloud auth application-default login"
    if active.value is None:
        yield unanswered("credentials", active, login)
        return
    if not active.value:
        yield failed("credentials", "nobody is logged in", login)
        return
    account = str(active.value[0]["account"])
    yield ok("credentials", account)
    configured = ask(["gcloud", "config", "get-value", "project", "--format=json"])
    if not configured.value:
        yield failed("project", "none is set", "gcloud config set project PROJECT")
        return
    project = str(configured.value)
    yield ok("project", project)
    dns = any("cloud_dns" in zone.providers for zone in plan.zones)
    yield from _services(ask, project, dns=dns)
    yield from _roles(ask, project, account, dns=dns)
    machines = plan.of_cloud("gcp")
    for region in sorted({spec.machine.region for spec in machines}):
        here = [spec for spec in machines if spec.machine.region == region]
        yield from _types(ask, project, here)
        yield from _quotas(ask, project, region, here)


def _services(ask: Ask, project: str, *, dns: bool) -> Iterator[Finding]:
    answer = ask(["gcloud", "services", "list", "--enabled", f"--project={project}", "--format=json"])
    names = ("compute", "storage", *(("dns",) if dns else ()))
    wanted = [f"{name}.googleapis.com" for name in names]
    if answer.value is None:
        yield unanswered("APIs", answer, f"gcloud services enable {' '.join(wanted)} --project={project}")
        return
    enabled = {str(entry["config"]["name"]) for entry in answer.value}
    for name in wanted:
        fix = f"gcloud services enable {name} --project={project}"
        yield ok(name, "enabled") if name in enabled else failed(name, "not enabled", fix)


def _roles(ask: Ask, project: str, account: str, *, dns: bool) -> Iterator[Finding]:
    answer = ask(["gcloud", "projects", "get-iam-policy", project, "--format=json"])
    kind = "serviceAccount" if account.endswith(".gserviceaccount.com") else "user"
    member = f"{kind}:{account}"
    needed = ["roles/compute.admin", "roles/storage.admin", *(["roles/dns.admin"] if dns else [])]
    bind = f"gcloud projects add-iam-policy-binding {project} --member={member} --role="
    if answer.value is None:
        yield unanswered("roles", answer, f"{bind}{needed[0]}")
        return
    held = {str(b["role"]) for b in answer.value.get("bindings", []) if member in b.get("members", [])}
    for role in needed:
        good = role in held or held & _ALL
        yield ok(role, "held") if good else failed(role, "not held by the account itself", f"{bind}{role}")


def _types(ask: Ask, project: str, machines: list[MachineSpec]) -> Iterator[Finding]:
    for kind, zone in sorted({(spec.machine.type, spec.machine.zone) for spec in machines}):
        check = f"{kind} in {zone}"
        answer = ask(
            [
                "gcloud",
                "compute",
                "machine-types",
                "describe",
                kind,
                f"--zone={zone}",
                f"--project={project}",
                "--format=json",
            ]
        )
        fix = f'gcloud compute machine-types list --filter="name={kind}" --project={project}'
        if answer.value is None:
            yield failed(check, answer.error, f"choose a zone that has it: {fix}")
        else:
            yield ok(check, "sold")


def _quotas(ask: Ask, project: str, region: str, machines: list[MachineSpec]) -> Iterator[Finding]:
    describe = ["gcloud", "compute", "regions", "describe", region, f"--project={project}", "--format=json"]
    answer = ask(describe)
    if answer.value is None:
        yield unanswered(f"{region} quotas", answer, " ".join(describe))
        return
    quotas = {str(entry["metric"]): entry for entry in answer.value.get("quotas", [])}
    wanted = dict(
        total((_FAMILIES[spec.machine.type.split("-")[0]], cores(spec.machine.type)) for spec in machines)
    )
    wanted["STATIC_ADDRESSES"] = sum(spec.public_address + spec.ipv6 for spec in machines)
    for metric, count in wanted.items():
        quota_id = metric.replace("_", "-") + "-per-project-region"
        raise_it = (
            f"gcloud beta quotas preferences create --project={project} --service=compute.googleapis.com"
            f" --quota-id={quota_id} --dimensions=region={region} --preferred-value="
        )
        if metric not in quotas:
            yield failed(
                f"{region} {metric}", "no such quota: the family is not offered", f"{raise_it}{count}"
            )
            continue
        limit, used = float(quotas[metric]["limit"]), float(quotas[metric]["usage"])
        yield room(
            f"{region} {metric}", limit=limit, used=used, wanted=count, fix=f"{raise_it}{used + count:g}"
        )
