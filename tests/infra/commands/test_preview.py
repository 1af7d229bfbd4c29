"""Before the SDKs are loaded, the owner hears what was chosen."""

from __future__ import annotations

from typing import Any

import pytest

from infra import planning
from infra.commands import preview


def test_choices_are_told(raw: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    preview.tell_choices(planning.load(raw, "local"))
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == [
        "tunnel-fleet: client-1 reaches out by a NAT gateway",
        "tunnel-fleet: client-2 reaches out by a public address of its own, nothing inbound",
        "tunnel-fleet: Milan chips are accepted by opt-in to arxiv-2605.12990: "
        + raw["opt_in"]["Milan"]["arxiv-2605.12990"],
    ]
