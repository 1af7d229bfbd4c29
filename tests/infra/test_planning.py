"""The pinned manifest is read from the project's folder, and held against its digest."""

from __future__ import annotations

from typing import Any

import pytest

from infra import planning
from runtime.errors import DocumentError


def test_the_project_s_files_are_where_the_plan_looks() -> None:
    assert (planning.ROOT / "Pulumi.yaml").read_text().startswith(f"name: {planning.PROJECT}\n")
    assert "main: infra/\n" in (planning.ROOT / "Pulumi.yaml").read_text()


def test_the_local_stack_is_planned(raw: dict[str, Any]) -> None:
    plan = planning.load(raw, "local")
    assert plan.manifests[1].variant == "simulated"
    assert plan.clouds == ("aws", "azure", "gcp")


def test_a_manifest_is_read_strictly(raw: dict[str, Any], tmp_path: Any) -> None:
    from hashlib import sha256

    manifest = tmp_path / "m.json"
    manifest.write_text('{"schema": "tunnel-image/1", "schema": "tunnel-image/1"}')
    raw["images"][0] |= {"manifest": str(manifest), "sha256": sha256(manifest.read_bytes()).hexdigest()}
    with pytest.raises(DocumentError, match="twice in one object"):
        planning.load(raw, "local")
