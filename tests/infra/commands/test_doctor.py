"""The verb: what it asks for, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra import cli
from infra.commands import doctor
from infra.doctor.model import Answer


def test_an_account_that_is_not_ready_ends_with_2(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "ask", lambda _: Answer(value=None, error="no session"))
    assert cli.main(["doctor", "--cloud", "gcp", "--stack", "local", "--json"]) == 2
    told = capsys.readouterr()
    findings = json.loads(told.out)
    assert findings[0]["check"] == "credentials"
    assert "1 of 1 checks are not met" in told.err


def test_the_stack_has_to_be_said(tmp_path: Path) -> None:
    assert cli.main(["doctor", "--cloud", "aws"]) == 2
    assert cli.main(["doctor", "--cloud", "aws", "--stack", "local", "--config", str(tmp_path / "none")]) == 2
