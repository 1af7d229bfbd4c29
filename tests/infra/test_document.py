"""The unsigned document follows from the plan, and from nothing else but what `up` tells."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from infra import document, planning
from infra.fleet import FleetPlan
from runtime.documents import fleet
from runtime.errors import DocumentError

WHEN = document.dates(1_795_000_000, 14)  # 2026-11-18


def plan(raw: dict[str, Any], stack: str = "local") -> FleetPlan:
    return planning.load(raw, stack)


def instances(found: FleetPlan) -> dict[str, str]:
    return {spec.name: f"instance-of-{spec.name}" for spec in found.machines}


def test_a_release_document_needs_no_edit(release: dict[str, Any]) -> None:
    found = plan(release, "dns-prod")
    draft = document.document(found, instances(found), WHEN)
    read = fleet.read(json.dumps(draft).encode())
    assert read.purpose == "production"
    assert read.expires_at - read.issued_at == 14 * 86400
    assert (
        read.reference_values.images[0].registers["pcr11_sha384"]
        == found.manifests[1].measurements["pcr11_sha384"]
    )
    assert {(member.name, member.instance.kind) for member in read.members} == {
        ("aws-1", "aws_instance_id"),
        ("azure-1", "azure_vm_unique_id"),
        ("gcp-1", "gcp_instance_id"),
        ("client-1", "gcp_instance_id"),
        ("client-2", "azure_vm_unique_id"),
    }
    assert [member.hostnames for member in read.members if member.role == "server"] == [(), (), ()]
    assert set(read.reference_values.formats) == {"aws-snp-nitrotpm", "azure-snp", "gcp-tdx"}
    snp = read.reference_values.formats["aws-snp-nitrotpm"].snp
    assert snp is not None
    assert set(snp.products) == {"Milan"}
    assert snp.products["Milan"].opt_in == release["opt_in"]["Milan"]
    assert snp.csp_ids == frozenset({"CN=cc-us-east-2.amazonaws.com"})
    assert snp.signers == frozenset({"vlek"})


def test_what_no_member_uses_is_in_no_document(release: dict[str, Any]) -> None:
    found = copy.deepcopy(release)
    found["servers"] = [found["servers"][2]]
    found["clients"] = [found["clients"][0]]
    tdx = plan(found, "gcp-prod")
    assert document.document(tdx, instances(tdx), WHEN)["reference_values"].keys() == {"gcp-tdx"}
    found["servers"].append({"name": "gcp-2", "cloud": "gcp", "region": "us-central1", "tee": "sev-snp"})
    snp = plan(found, "gcp-prod")
    values = document.document(snp, instances(snp), WHEN)["reference_values"]["gcp-snp"]["snp"]
    assert values["signers"] == ["vcek"]
    assert values["csp_ids"] == []


def test_a_simulated_draft_waits_for_its_enrolment(raw: dict[str, Any]) -> None:
    found = plan(raw)
    draft = document.document(found, instances(found), WHEN)
    with pytest.raises(DocumentError) as caught:
        fleet.read(json.dumps(draft).encode())
    assert [problem.path for problem in caught.value.problems] == ["$.images[0].measurements"]


def test_two_generations_overlap_in_the_document(release: dict[str, Any]) -> None:
    both = copy.deepcopy(release)
    both["images"].append(both["images"][0] | {"generation": 2, "state": "joining"})
    found = plan(both, "dns-prod")
    read = fleet.read(json.dumps(document.document(found, instances(found), WHEN)).encode())
    assert len(read.members) == 10
    assert len(read.reference_values.images) == 1, "one image, both generations boot it"
