"""The editor's schema says what the reader says, as far as a schema can."""

from __future__ import annotations

import copy
import json
from typing import Any

import jsonschema
import pytest
import yaml  # type: ignore[import-untyped]  # PyYAML ships no types

from infra import config, stack_schema
from infra.planning import ROOT
from runtime.errors import DocumentError

WRITTEN = ROOT / "infra" / "stack.schema.json"
FLEET = stack_schema.build()["properties"]["config"]["properties"]["tunnel:fleet"]


def valid(fleet: Any) -> bool:
    return jsonschema.Draft202012Validator(FLEET).is_valid(fleet)


def test_the_written_schema_is_current() -> None:
    written = json.loads(WRITTEN.read_text("utf-8"))
    assert written == stack_schema.build(), "tunnel-fleet schema > infra/stack.schema.json"


def test_the_local_stack_is_valid_and_names_its_schema(release: dict[str, Any]) -> None:
    text = (ROOT / "Pulumi.local.yaml").read_text("utf-8")
    jsonschema.validate(yaml.safe_load(text), stack_schema.build())
    assert f"$schema={WRITTEN.relative_to(ROOT)}" in text
    assert valid(release)


@pytest.mark.parametrize(
    "edit",
    [
        lambda r: r.update(tunel_name="x"),
        lambda r: r.pop("sites"),
        lambda r: r.update(owner_keys=["AB" * 32]),
        lambda r: r["dns"].update(ttl=61),
        lambda r: r["dns"]["zones"][0].update(providers=["route_53"]),
        lambda r: r["servers"][0].update(type="m7i.large"),
        lambda r: r["servers"][0].update(region="us-east-1"),
        lambda r: r["servers"][0].update(count=0),
        lambda r: r["servers"][0].update(hostnames=["a.test"]),
        lambda r: r["clients"][0].pop("egress"),
        lambda r: r["clients"][0].update(routes={"file": "/r", "urls": ["https://x.test"]}),
        lambda r: r["clients"][0].update(bundle={"urls": ["https://x.test/a.tar"], "port": 8080}),
        lambda r: r["images"][0].update(state="gone"),
        lambda r: r["least_grade"].update(client="X"),
        lambda r: r.update(limits={"drain_s": 0}),
        lambda r: r.update(limits={"dain_s": 5}),
    ],
)
def test_what_the_schema_refuses_the_reader_refuses_too(raw: dict[str, Any], edit: Any) -> None:
    assert valid(raw)
    edit(raw)
    assert not valid(raw)
    with pytest.raises(DocumentError):
        config.parse(raw)


def test_every_key_of_the_reader_is_in_the_schema(raw: dict[str, Any]) -> None:
    everything = copy.deepcopy(raw)
    everything["servers"][0] |= {
        "count": 2,
        "zones": ["us-east-2a"],
        "state": "serving",
        "renamed_from": "old",
    }
    everything["clients"][0]["bundle"] = {"urls": ["https://x.test/a"], "sha256": "ab" * 32, "port": 8080}
    everything["dns"] |= {"caa": [], "health_checks": False}
    everything["limits"] = {"drain_s": 5}
    everything["document"]["endorsements"] = ["https://x.test/e"]
    assert valid(everything)
    config.parse(everything)
    assert set(FLEET["properties"]) == {*config.REQUIRED, *config.OPTIONAL}
