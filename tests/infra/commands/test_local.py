"""What `tunnel-fleet local` says where there is no engine; what it does with one is in tests/realcli."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra import cli


def test_without_a_binary_it_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cli.main(["local", "up", "--folder", str(tmp_path / "engine")]) == 2
    said = capsys.readouterr().err
    assert "no `pulumi` on PATH" in said
    assert "hint: make pulumi-cli" in said


def test_an_unknown_operation_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["local", "down"]) == 2
    assert "destroy" in capsys.readouterr().err
