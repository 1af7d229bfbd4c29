"""The pinned manifest is read from the project's folder, and held against its digest."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # PyYAML ships no types

from infra import planning
from infra.stack_names import ROLES
from runtime.errors import DocumentError


def test_the_project_s_files_are_where_the_plan_looks() -> None:
    assert (planning.ROOT / "Pulumi.yaml").read_text().startswith(f"name: {planning.PROJECT}\n")
    assert "main: infra/\n" in (planning.ROOT / "Pulumi.yaml").read_text()


def test_the_local_stack_is_planned(raw: dict[str, Any]) -> None:
    plan = planning.load(raw, "local")
    assert plan.manifests[1].variant == "simulated"
    assert plan.clouds == ("aws", "azure", "gcp")


def test_a_manifest_is_read_strictly(raw: dict[str, Any], tmp_path: Any) -> None:
    manifest = tmp_path / "m.json"
    manifest.write_text('{"schema": "tunnel-image/1", "schema": "tunnel-image/1"}')
    raw["images"][0] |= {"manifest": str(manifest), "sha256": sha256(manifest.read_bytes()).hexdigest()}
    with pytest.raises(DocumentError, match="twice in one object"):
        planning.load(raw, "local")


def test_the_fleet_that_docs_show_is_planned_as_it_stands_there() -> None:
    text = (planning.ROOT / "docs" / "clouds.md").read_text("utf-8")
    block = text.split("```yaml\n")[1].split("```")[0]
    manifest = "runtime/documents/examples/image-manifest.json"
    for words, value in {
        "OWNER_KEY": "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29",
        "BUNDLE_SHA256": "ab" * 32,
        "build/image/image-manifest.json": manifest,
        "MANIFEST_SHA256": sha256((planning.ROOT / manifest).read_bytes()).hexdigest(),
    }.items():
        assert words in block
        block = block.replace(words, value)
    config = yaml.safe_load(block)["config"]
    assert config["tunnel:role"] in ROLES
    plan = planning.load(config["tunnel:fleet"], "dns-prod")
    assert [spec.name for spec in plan.machines] == [
        *("aws-1", "aws-2", "azure-1", "gcp-1", "client-1", "client-2")
    ]
    assert len({spec.machine.zone for spec in plan.machines if spec.machine.cloud == "aws"}) == 2
    assert {record.name for record in plan.records} == {
        *("tunnel.site.example", "visitors.site.example", "www.site.example")
    }
