"""The plan follows from the configuration alone, and the document from the plan."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from infra import fleet, planning
from infra.fleet import FleetPlan
from infra.records import fill
from runtime.documents import fleet as fleet_document
from runtime.documents import settings as boot
from runtime.errors import DocumentError

ISSUED = 1_795_000_000  # 2026-11-18


def plan(raw: dict[str, Any], stack: str = "local") -> FleetPlan:
    return planning.load(raw, stack)


def instances(found: FleetPlan) -> dict[str, str]:
    return {spec.name: f"instance-of-{spec.name}" for spec in found.machines}


def test_the_plan_is_deterministic(raw: dict[str, Any]) -> None:
    assert plan(raw) == plan(copy.deepcopy(raw))


def test_adding_a_server_renames_no_other(raw: dict[str, Any]) -> None:
    before = plan(raw)
    raw["servers"].insert(
        0, {"name": "aaa-1", "cloud": "gcp", "region": "us-central1", "listen": ["127.0.0.9"]}
    )
    after = plan(raw)
    assert [spec for spec in after.machines if spec.name != "aaa-1"] == list(before.machines)
    assert [net for net in after.networks if net.region != "us-central1"] == list(before.networks)
    assert [record.resource_name for record in after.records] == [
        record.resource_name for record in before.records
    ]


def test_servers_are_open_to_visitors_sessions_and_data_and_clients_to_nothing(
    release: dict[str, Any],
) -> None:
    for spec in plan(release, "aws-prod").machines:
        assert spec.inbound == ((443, 7443, 7444, 7445) if spec.role == "server" else ())
        assert spec.public_address == (spec.role == "server" or spec.name == "client-2")


def test_the_digest_is_of_the_very_settings(raw: dict[str, Any]) -> None:
    for spec in plan(raw).machines:
        assert boot.digest(spec.settings).hex() == spec.settings_sha256
        assert boot.read(spec.settings).member == spec.name


def test_records_hold_every_server_and_no_client(release: dict[str, Any]) -> None:
    found = {(record.name, record.type): record.servers for record in plan(release, "dns-prod").records}
    assert found == {
        ("tunnel.demo.test", "A"): ("aws-1", "azure-1", "gcp-1"),
        ("tunnel.demo.test", "AAAA"): ("azure-1", "gcp-1"),
        ("app.demo.test", "A"): ("aws-1", "azure-1", "gcp-1"),
        ("app.demo.test", "AAAA"): ("azure-1", "gcp-1"),
    }


def test_filled_records_are_plain_data(raw: dict[str, Any]) -> None:
    found = plan(raw)
    addresses = {("aws-1", "A"): "192.0.2.3", ("azure-1", "A"): "192.0.2.1", ("gcp-1", "A"): "192.0.2.2"}
    assert fill(found.records, addresses)[1] == {  # type: ignore[arg-type]  # keys are literals of the family
        "name": "app.demo.test",
        "type": "A",
        "ttl": 60,
        "values": ["192.0.2.1", "192.0.2.2", "192.0.2.3"],
    }


def test_nat_is_planned_where_a_client_needs_it(raw: dict[str, Any]) -> None:
    nets = {net.name: net for net in plan(raw).networks}
    assert nets["gcp-europe-west4"].nat_zones == ("europe-west4-a",)
    assert nets["azure-westeurope"].nat_zones == ()
    assert nets["aws-us-east-2"].public_zones == ("us-east-2a",)


@pytest.mark.parametrize("stack", ["aws-prod", "dns-prod", "locale"])
def test_only_local_takes_an_image_that_is_no_release(raw: dict[str, Any], stack: str) -> None:
    with pytest.raises(DocumentError, match="wants a release image"):
        plan(raw, stack)


def test_a_simulated_image_is_never_in_a_production_document(raw: dict[str, Any]) -> None:
    raw["purpose"] = "production"
    raw["least_grade"] = {"server": "V", "client": "P", "key_receiver": "P"}
    with pytest.raises(DocumentError, match='only purpose "test" may use'):
        plan(raw)


def test_another_manifest_than_the_pinned_one_is_refused(raw: dict[str, Any]) -> None:
    raw["image"]["sha256"] = "ab" * 32
    with pytest.raises(DocumentError, match=r"\$\.image\.sha256: is abab"):
        plan(raw)


def test_a_manifest_that_is_not_there_is_refused(raw: dict[str, Any]) -> None:
    raw["image"]["manifest"] = "images/manifests/9.json"
    with pytest.raises(DocumentError, match="cannot be read"):
        plan(raw)


def test_a_release_document_needs_no_edit(release: dict[str, Any]) -> None:
    found = plan(release, "dns-prod")
    draft = fleet.document(found, instances(found), ISSUED)
    read = fleet_document.read(json.dumps(draft).encode())
    assert read.purpose == "production"
    assert read.expires_at - read.issued_at == 14 * 86400
    assert (
        read.reference_values.images[0].registers["pcr11_sha384"]
        == found.manifest.measurements["pcr11_sha384"]
    )
    assert {(member.name, member.instance.kind) for member in read.members} == {
        ("aws-1", "aws_instance_id"),
        ("azure-1", "azure_vm_unique_id"),
        ("gcp-1", "gcp_instance_id"),
        ("client-1", "gcp_instance_id"),
        ("client-2", "azure_vm_unique_id"),
    }
    assert [member.hostnames for member in read.members if member.role == "server"] == [(), (), ()]
    snp = read.reference_values.snp
    assert snp is not None
    assert set(snp.products) == {"Milan"}
    assert snp.products["Milan"].opt_in == release["opt_in"]["Milan"]
    assert snp.csp_ids == frozenset({"CN=cc-us-east-2.amazonaws.com"})
    assert snp.signers == frozenset({"vcek", "vlek"})


def test_what_no_member_uses_is_in_no_document(release: dict[str, Any]) -> None:
    found = copy.deepcopy(release)
    found["servers"] = [found["servers"][2]]
    found["clients"] = [found["clients"][0]]
    tdx = plan(found, "gcp-prod")
    assert fleet.document(tdx, instances(tdx), ISSUED)["reference_values"] == {}
    found["servers"].append({"name": "gcp-2", "cloud": "gcp", "region": "us-central1", "tee": "sev-snp"})
    snp = plan(found, "gcp-prod")
    values = fleet.document(snp, instances(snp), ISSUED)["reference_values"]["snp"]
    assert values["signers"] == ["vcek"]
    assert values["csp_ids"] == []


def test_a_simulated_draft_waits_for_its_enrolment(raw: dict[str, Any]) -> None:
    found = plan(raw)
    draft = fleet.document(found, instances(found), ISSUED)
    with pytest.raises(DocumentError) as caught:
        fleet_document.read(json.dumps(draft).encode())
    assert [problem.path for problem in caught.value.problems] == ["$.images[0].measurements"]
