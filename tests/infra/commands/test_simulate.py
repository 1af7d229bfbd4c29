"""What a simulated `up` leaves on disk is exactly what a member boots with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra import planning
from infra.commands import simulate
from runtime.errors import UsageError


def test_a_member_of_an_earlier_run_is_gone(tmp_path: Path, raw: dict[str, Any]) -> None:
    plan = planning.load(raw, "local")
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "old-1.json").write_text("{}")
    simulate.write(tmp_path, plan, {"records": []})
    assert {path.stem for path in (tmp_path / "settings").iterdir()} == {spec.name for spec in plan.machines}
    assert json.loads((tmp_path / "outputs.json").read_text()) == {"records": []}
    assert (tmp_path / "settings" / "aws-1.json").read_bytes() == plan.machines[0].settings


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, raw: dict[str, Any]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file"):
        simulate.write(tmp_path / "file", planning.load(raw, "local"), {})
