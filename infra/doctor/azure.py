"""What a fleet needs of an Azure subscription. Pure but for what it asks through `ask`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from infra.doctor.model import Ask, Finding, cores, failed, ok, room, total, unanswered
from infra.fleet import FleetPlan, MachineSpec

_TYPES = {"sev-snp": "SNP", "tdx": "TDX"}
_ADDRESSES = "StandardSkuPublicIpAddresses"
_BLOB_ROLES = {"Storage Blob Data Contributor", "Storage Blob Data Owner"}


def examine(plan: FleetPlan, ask: Ask) -> Iterator[Finding]:
    """Yield what is found; without credentials nothing else is asked."""
    account = ask(["az", "account", "show", "--output", "json"])
    if account.value is None:
        yield unanswered("credentials", account, "az login")
        return
    subscription, user = str(account.value["id"]), str(account.value["user"]["name"])
    yield ok("credentials", f"subscription {subscription}, {user}")
    yield from _providers(plan, ask)
    yield from _roles(ask, subscription, user)
    machines = plan.of_cloud("azure")
    for region in sorted({spec.machine.region for spec in machines}):
        here = [spec for spec in machines if spec.machine.region == region]
        families: dict[str, int] = {}
        for kind in sorted({spec.machine.type for spec in here}):
            size = ask(
                [
                    "az",
                    "vm",
                    "list-skus",
                    "--location",
                    region,
                    "--size",
                    kind,
                    "--resource-type",
                    "virtualMachines",
                    "--all",
                    "--output",
                    "json",
                ]
            )
            yield from _size(region, kind, here, size.value, size.error, families)
        yield from _quotas(plan, ask, region, here, subscription, families)


def _providers(plan: FleetPlan, ask: Ask) -> Iterator[Finding]:
    dns = any("azure_dns" in zone.providers for zone in plan.zones)
    for name in ("Compute", "Network", "Storage", *(("Dns",) if dns else ())):
        namespace = "Microsoft.Network" if name == "Dns" else f"Microsoft.{name}"
        answer = ask(["az", "provider", "show", "--namespace", namespace, "--output", "json"])
        fix = f"az provider register --namespace {namespace} --wait"
        check = f"{namespace} registered" if name != "Dns" else "Microsoft.Network registered (DNS)"
        if answer.value is None:
            yield unanswered(check, answer, fix)
            continue
        state = str(answer.value["registrationState"])
        yield ok(check, state) if state == "Registered" else failed(check, state, fix)


def _roles(ask: Ask, subscription: str, user: str) -> Iterator[Finding]:
    listing = ["az", "role", "assignment", "list", "--assignee", user, "--all", "--include-inherited"]
    answer = ask([*listing, "--include-groups", "--output", "json"])
    create = f"az role assignment create --assignee {user} --scope /subscriptions/{subscription} --role"
    if answer.value is None:
        yield unanswered("roles", answer, f'{create} "Contributor"')
        return
    held = {str(entry["roleDefinitionName"]) for entry in answer.value}
    shown = ", ".join(sorted(held)) or "none"
    good = bool(held & {"Contributor", "Owner"})
    yield (
        ok("role for machines", shown)
        if good
        else failed("role for machines", shown, f'{create} "Contributor"')
    )
    fix = f'{create} "Storage Blob Data Contributor"'
    yield (
        ok("role for the image's blob", shown)
        if held & _BLOB_ROLES
        else failed("role for the image's blob", shown, fix)
    )


def _size(
    region: str, kind: str, machines: list[MachineSpec], found: Any, error: str, families: dict[str, int]
) -> Iterator[Finding]:
    check = f"{region} {kind}"
    fix = f"az vm list-skus --location {region} --resource-type virtualMachines --all --output table"
    here = [spec for spec in machines if spec.machine.type == kind]
    if found is None:
        yield Finding(check=check, verdict="unknown", detail=error, fix=fix)
        return
    exact = [entry for entry in found if entry["name"] == kind]
    if not exact:
        yield failed(check, "not sold there", f"choose a size or region that is: {fix}")
        return
    entry = exact[0]
    families[str(entry["family"])] = families.get(str(entry["family"]), 0) + cores(kind) * len(here)
    reasons = sorted({str(restriction["reasonCode"]) for restriction in entry.get("restrictions", [])})
    yield (
        failed(check, f"restricted: {', '.join(reasons)}", f"ask Azure support for {kind}, or {fix}")
        if reasons
        else ok(check, "sold")
    )
    capabilities = {c["name"]: c["value"] for c in entry.get("capabilities", [])}
    wanted, has = _TYPES[here[0].machine.tee], capabilities.get("ConfidentialComputingType", "none")
    check = f"{region} {kind} is confidential"
    yield (
        ok(check, has)
        if has == wanted
        else failed(check, f"{has}, want {wanted}", f"choose another size: {fix}")
    )
    sold = {str(zone) for info in entry.get("locationInfo", []) for zone in info.get("zones", [])}
    missing = sorted({spec.machine.zone for spec in here} - sold)
    zones = f"set the members' zones to some of {', '.join(sorted(sold)) or '(none)'}"
    check = f"{region} {kind} in zones"
    yield failed(check, f"not in {', '.join(missing)}", zones) if missing else ok(check, "sold")


def _quotas(
    plan: FleetPlan,
    ask: Ask,
    region: str,
    machines: list[MachineSpec],
    subscription: str,
    families: dict[str, int],
) -> Iterator[Finding]:
    scope = f"/subscriptions/{subscription}/providers/Microsoft.Compute/locations/{region}"
    usage = ask(["az", "vm", "list-usage", "--location", region, "--output", "json"])
    for family, wanted in sorted(total(families.items()).items()):
        raise_it = f"az quota create --scope {scope} --resource-name {family} --limit-object value="
        yield from _usage(f"{region} {family}", usage.value, usage.error, family, wanted, raise_it)
    gateways = sum(
        bool(net.nat_zones) for net in plan.networks if (net.cloud, net.region) == ("azure", region)
    )
    addresses = sum(spec.public_address + spec.ipv6 for spec in machines) + gateways
    held = ask(["az", "network", "list-usages", "--location", region, "--output", "json"])
    network = scope.replace("Microsoft.Compute", "Microsoft.Network")
    raise_it = f"az quota create --scope {network} --resource-name {_ADDRESSES} --limit-object value="
    yield from _usage(f"{region} addresses", held.value, held.error, _ADDRESSES, addresses, raise_it)


def _usage(check: str, found: Any, error: str, name: str, wanted: int, raise_it: str) -> Iterator[Finding]:
    if found is None:
        yield Finding(check=check, verdict="unknown", detail=error, fix=f"{raise_it}{wanted}")
        return
    for entry in found:
        # The API is not of one mind about capitals.
        if str(entry["name"]["value"]).lower() == name.lower():
            used, limit = float(entry["currentValue"]), float(entry["limit"])
            yield room(check, limit=limit, used=used, wanted=wanted, fix=f"{raise_it}{used + wanted:g}")
            return
    yield failed(check, f"no quota is called {name}", f"{raise_it}{wanted}")
