"""The plan follows from the configuration alone, and the document from the plan."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from infra import fleet, planning
from infra.fleet import FleetPlan
from runtime.documents import settings as boot
from runtime.errors import DocumentError


def plan(raw: dict[str, Any], stack: str = "local") -> FleetPlan:
    return planning.load(raw, stack)


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
    raw["images"][0]["sha256"] = "ab" * 32
    with pytest.raises(DocumentError, match=r"\$\.images\[0\]\.sha256: is abab"):
        plan(raw)


def test_a_manifest_that_is_not_there_is_refused(raw: dict[str, Any]) -> None:
    raw["images"][0]["manifest"] = "images/manifests/9.json"
    with pytest.raises(DocumentError, match="cannot be read"):
        plan(raw)


def second_generation(fleet: dict[str, Any], **more: Any) -> dict[str, Any]:
    copied = copy.deepcopy(fleet)
    copied["images"].append(copied["images"][0] | {"generation": 2} | more)
    return copied


def names(found: FleetPlan) -> list[str]:
    return [spec.name for spec in found.machines]


def test_a_second_generation_is_a_second_machine_per_member(raw: dict[str, Any]) -> None:
    before, both = plan(raw), plan(second_generation(raw))
    assert both.machines[: len(before.machines)] == before.machines, "the running ones do not change"
    assert names(both) == names(before) + [f"{name}-g2" for name in names(before)]
    newer = {spec.name: spec for spec in both.machines if spec.generation == 2}
    assert newer["aws-1-g2"].listen == ("127.0.0.75",)
    assert len({spec.settings_sha256 for spec in both.machines}) == len(both.machines)
    alone = second_generation(raw)
    alone["images"].pop(0)
    assert list(plan(alone).machines) == list(newer.values()), (
        "when the older goes, the newer does not change"
    )


def test_two_images_of_one_version_are_refused(raw: dict[str, Any]) -> None:
    """The fleet document would have two images of one id, and whoever looks for it would see one of them."""
    both = plan(second_generation(raw))
    other = {1: both.manifests[1], 2: replace(both.manifests[2], digest=b"o" * 32)}
    with pytest.raises(
        DocumentError, match=r"images\[1\]\.manifest: is .*as another generation's other image"
    ):
        fleet.plan(both.config, other, "local")
    fleet.plan(both.config, other | {2: replace(other[2], version="next")}, "local")


def test_generations_of_one_manifest_share_an_image(release: dict[str, Any]) -> None:
    found = plan(second_generation(release), "aws-prod")
    assert [image.cloud for image in found.images] == ["aws", "azure", "gcp"]
    image = found.images[0]
    assert (image.version, image.regions) == (found.manifests[1].version, ("us-east-2",))
    assert image.path.startswith("images/out/")
    assert {spec.image for spec in found.of_cloud("aws")} == {image.name}


def test_visitors_are_led_to_serving_servers_and_clients_to_every_server(raw: dict[str, Any]) -> None:
    def servers(fleet: dict[str, Any], name: str) -> tuple[str, ...]:
        return next(record.servers for record in plan(fleet).records if record.name == name)

    joining = second_generation(raw, state="joining")
    everyone = ("aws-1", "azure-1", "gcp-1", "aws-1-g2", "azure-1-g2", "gcp-1-g2")
    assert servers(joining, "tunnel.demo.test") == everyone
    assert servers(joining, "visitors.demo.test") == everyone[:3]
    switched = second_generation(raw)
    switched["images"][0]["state"] = "draining"
    assert servers(switched, "tunnel.demo.test") == everyone
    assert servers(switched, "visitors.demo.test") == everyone[3:]
    raw["servers"][1]["state"] = "draining"
    assert servers(raw, "visitors.demo.test") == ("aws-1", "gcp-1")


def test_a_renamed_member_keeps_its_former_name_in_every_generation(raw: dict[str, Any]) -> None:
    raw["servers"][0] |= {"name": "ohio-1", "renamed_from": "aws-1"}
    found = plan(second_generation(raw))
    assert [spec.renamed_from for spec in found.of_cloud("aws")] == ["aws-1", "aws-1-g2"]


def test_a_cloud_without_machines_has_no_image_and_no_network(release: dict[str, Any]) -> None:
    fleet = copy.deepcopy(release)
    for part in ("servers", "clients"):
        fleet[part] = [member for member in fleet[part] if member["cloud"] != "azure"]
    found = plan(fleet, "aws-prod")
    assert found.clouds == ("aws", "gcp")
    assert [image.cloud for image in found.images] == ["aws", "gcp"]
    assert [net.cloud for net in found.networks] == ["aws", "gcp"]
    assert found.of_cloud("azure") == ()


def test_an_image_without_a_file_for_a_cloud_is_refused(release: dict[str, Any]) -> None:
    found = plan(release, "aws-prod")
    files = found.manifests[1].artefacts
    manifest = replace(found.manifests[1], artefacts=tuple(f for f in files if f.format != "vhd"))
    with pytest.raises(DocumentError, match=r"images\[0\]\.manifest: is .*which has no vhd file"):
        fleet.plan(found.config, {1: manifest}, "azure-prod")


def test_a_zone_below_another_comes_first(raw: dict[str, Any]) -> None:
    raw["dns"]["zones"].append({"name": "t.demo.test", "providers": ["cloud_dns", "azure_dns"]})
    raw["tunnel_name"] = "all.t.demo.test"
    zones = {zone.name: zone for zone in plan(raw).zones}
    assert list(zones) == ["t.demo.test", "demo.test"]
    assert [record.resource_name for record in zones["t.demo.test"].records] == ["all.t.demo.test-a"]
    delegation = zones["demo.test"].records[-1]
    assert (delegation.type, delegation.name, delegation.delegates) == ("NS", "t.demo.test", "t.demo.test")
