"""The whole way of the local fleet through the real command: preview, simulated up, enrolment, signature."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra import cli
from runtime.documents import fleet, settings
from runtime.errors import DocumentError
from tests.fakes.fleets import open_signed
from tests.infra.conftest import Ran, Runs, finish, start

pytestmark = pytest.mark.timeout(300)  # the first that asks for `runs` waits for the SDKs' imports


def resources(ran: Ran, part: str = "") -> dict[str, dict[str, Any]]:
    answer = ran.answer[part] if part else ran.answer
    return {f"{entry['type']} {entry['name']}": entry for entry in answer["resources"]}


def of_type(ran: Ran, kind: str, part: str = "") -> dict[str, dict[str, Any]]:
    return {
        key.partition(" ")[2]: entry["inputs"]
        for key, entry in resources(ran, part).items()
        if entry["type"] == kind
    }


def test_the_commands_end_well_and_tell_the_story_on_stderr(runs: Runs) -> None:
    assert (runs.simulated.status, runs.previewed.status, runs.names.status) == (0, 0, 0), runs.names.err
    assert "tunnel-fleet: client-1 reaches out by a NAT gateway" in runs.previewed.err
    assert "tunnel-fleet: Milan chips are accepted by opt-in" in runs.previewed.err
    assert "goaway" not in runs.simulated.err.lower()
    assert runs.previewed.answer["problems"] == []
    for ran in (runs.previewed, runs.names):
        guardrails = ran.answer["guardrails"]
        assert (guardrails["violations"], guardrails["advice"]) == ([], []), "guardrails are green"


def test_two_runs_are_equal_byte_for_byte(runs: Runs) -> None:
    preview = json.dumps(runs.simulated.answer["preview"], indent=2, sort_keys=True, ensure_ascii=False)
    assert runs.previewed.out == preview + "\n"


def test_three_clouds_and_dns_are_in_one_tree(runs: Runs) -> None:
    components = sorted(
        f"{entry['type']} {entry['name']}"
        for entry in runs.previewed.answer["resources"]
        if not entry["custom"]
    )
    assert components == [
        "pulumi:pulumi:Stack confidential-tunnels-local",
        "tunnel:aws:Images aws-images",
        "tunnel:aws:Machine aws-1",
        "tunnel:aws:Network aws-us-east-2",
        "tunnel:azure:Images azure-images",
        "tunnel:azure:Machine azure-1",
        "tunnel:azure:Machine client-2",
        "tunnel:azure:Network azure-westeurope",
        "tunnel:gcp:Images gcp-images",
        "tunnel:gcp:Machine client-1",
        "tunnel:gcp:Machine gcp-1",
        "tunnel:gcp:Network gcp-europe-west4",
        "tunnel:route53:Zone demo.test-route53",
    ]
    stack = next(entry["urn"] for entry in runs.previewed.answer["resources"] if not entry["parent"])
    for entry in runs.previewed.answer["resources"]:
        assert entry["parent"] or entry["urn"] == stack
        assert entry["custom"] is (entry["parent"] not in {"", stack}), "every resource is in a component"
        assert not entry["protect"], "a local fleet is thrown away"


def test_outputs_of_a_preview_hold_what_is_known(runs: Runs) -> None:
    outputs = runs.previewed.answer["outputs"]
    assert set(outputs) == {"endpoints", "settings", "records", "nameServers", "fleetDocument", "nextCommand"}
    draft = outputs["fleetDocument"]
    assert draft["issued_at"] == draft["members"][0]["instance"]["value"] == "(known after up)"
    assert (
        draft["members"][0]["settings_sha256"] == settings.digest(outputs["settings"]["aws-1"].encode()).hex()
    )
    assert settings.read(outputs["settings"]["gcp-1"].encode()).member == "gcp-1"


def test_a_simulated_up_hands_out_the_addresses_that_servers_listen_on(runs: Runs) -> None:
    outputs = json.loads((runs.folder / "outputs.json").read_text())
    addresses = ["127.0.0.11", "127.0.0.12", "127.0.0.13"]
    assert outputs["records"] == [
        *[
            {"name": name, "type": "A", "ttl": 60, "values": addresses}
            for name in ("tunnel.demo.test", "visitors.demo.test")
        ],
        {"name": "app.demo.test", "type": "CNAME", "ttl": 60, "values": ["visitors.demo.test."]},
    ]
    assert [(entry["member"], entry["ipv4"]) for entry in outputs["endpoints"]] == [
        *zip(("aws-1", "azure-1", "gcp-1"), addresses, strict=True),
        ("client-1", None),
        ("client-2", None),  # it has an address to leave by; nobody is told to dial it
    ]
    assert "tunnel-fleet document --sign" in outputs["nextCommand"]


def test_settings_are_written_byte_for_byte_and_the_document_names_their_digests(runs: Runs) -> None:
    outputs = json.loads((runs.folder / "outputs.json").read_text())
    written = {path.stem: path.read_bytes() for path in (runs.folder / "settings").iterdir()}
    assert set(written) == {"aws-1", "azure-1", "gcp-1", "client-1", "client-2"}, "a stale member is gone"
    for member in outputs["fleetDocument"]["members"]:
        data = written[member["name"]]
        assert settings.read(data).member == member["name"]
        assert settings.digest(data).hex() == member["settings_sha256"]
        assert outputs["settings"][member["name"]].encode() == data


def test_enrolment_makes_the_draft_a_document_that_members_open(
    runs: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draft = json.loads((runs.folder / "outputs.json").read_text())["fleetDocument"]
    with pytest.raises(DocumentError, match="measurements"):
        fleet.read(json.dumps(draft).encode())
    draft["purpose"] = "test"
    draft["least_grade"] = dict.fromkeys(("server", "client", "key_receiver"), "T")
    draft["images"][0]["measurements"] = {"snp_launch": ["ab" * 48]}
    for number, member in enumerate(draft["members"], 1):
        member["instance"] = {"kind": "chip_id", "value": f"{number:0128x}"}
    (tmp_path / "fleet.json").write_text(json.dumps(draft))
    key, signed = tmp_path / "owner.pem", tmp_path / "signed.json"
    assert cli.main(["key", "new", "--out", str(key)]) == 0
    public = bytes.fromhex(capsys.readouterr().out.strip())
    arguments = ["--key", str(key), "--in", str(tmp_path / "fleet.json"), "--out", str(signed)]
    assert cli.main(["document", "--sign", *arguments, "--publish", str(tmp_path / "web")]) == 0
    document = open_signed((tmp_path / "web" / "fleet.json").read_bytes(), (public,))
    assert [member.name for member in document.members] == [
        "aws-1",
        "azure-1",
        "gcp-1",
        "client-1",
        "client-2",
    ]
    assert signed.read_bytes() == (tmp_path / "web" / "fleet.json").read_bytes()


def test_the_dns_stack_reads_the_other_stacks(runs: Runs) -> None:
    """The cloud stacks run first, and only their `endpoints` reach this one."""
    answer = runs.names.answer
    assert {entry["type"] for entry in answer["resources"] if entry["custom"]} == {
        "aws:route53/zone:Zone",
        "aws:route53/record:Record",
        "aws:route53/healthCheck:HealthCheck",
    }
    assert all(entry["protect"] for entry in answer["resources"] if entry["custom"])
    records = of_type(runs.names, "aws:route53/record:Record")
    names = ("aws-1", "aws-2", "azure-1")  # aws-1 listens on IPv4 only
    assert set(records) == {
        "tunnel.demo.test-a",
        "tunnel.demo.test-aaaa",
        "app.demo.test-cname",
        *(f"visitors.demo.test-a-{name}" for name in names),
        *(f"visitors.demo.test-aaaa-{name}" for name in names[1:]),
    }
    assert len(records["tunnel.demo.test-a"]["records"]) == 3
    assert len(records["tunnel.demo.test-aaaa"]["records"]) == 2
    assert all(":" in address for address in records["tunnel.demo.test-aaaa"]["records"])
    assert all(records[f"visitors.demo.test-a-{name}"]["setIdentifier"] == name for name in names)
    document = answer["outputs"]["fleetDocument"]
    assert document["issued_at"] == "(known after up)", "a preview has no date: two previews are equal"
    kinds = {member["name"]: member["instance"]["value"][:2] for member in document["members"]}
    assert kinds["aws-1"] == "i-"


def test_a_wrong_configuration_is_told_whole_and_at_once(tmp_path: Path) -> None:
    overlay = tmp_path / "over.yaml"
    overlay.write_text("dns: {ttl: 3600}\nprots: {}\n")
    ran = finish(start("preview", "--config", overlay, "--json"))
    assert ran.status == 2
    assert [problem["path"] for problem in ran.answer["error"]["problems"]] == ["$", "$.dns.ttl"]
    assert "did you mean 'ports'?" in ran.err


@pytest.mark.parametrize("arguments", [[], ["preveiw"], ["simulate"], ["key"], ["preview", "--stack"]])
def test_a_wrong_command_line_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "hint: usage: tunnel-fleet" in told.err
    assert cli.main([*arguments, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "usage"


def test_only_local_is_simulated(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main(["simulate", "--stack", "aws-prod", "--out", str(tmp_path)]) == 2
    assert "hint: tunnel-fleet preview --stack aws-prod" in capsys.readouterr().err
