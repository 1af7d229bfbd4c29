"""The command: what is wrong is said, with the status of the error."""

from __future__ import annotations

from pathlib import Path

import pytest

from images import __main__ as command
from images import bake
from runtime.errors import UsageError


def test_an_error_is_said_with_its_hint_and_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fail(_: bake.Order) -> Path:
        message = "no mirror"
        raise UsageError(message, hint="set MIRROR_DEBIAN")

    monkeypatch.setattr(bake, "bake", fail)
    with pytest.raises(SystemExit) as caught:
        command.main(["bake", "--variant", "test", "--out", str(tmp_path)])
    assert caught.value.code == 2
    assert capsys.readouterr().err == "images: no mirror\nhint: set MIRROR_DEBIAN\n"
