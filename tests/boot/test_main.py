"""The steps that units name, and what they say when they fail."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runtime.boot import __main__ as boot
from runtime.errors import UnsupportedTeeError

UNITS = Path(__file__).resolve().parents[2] / "images/units"


def test_units_name_steps_that_exist() -> None:
    named = {
        step
        for unit in UNITS.iterdir()
        for step in re.findall(r"-m runtime\.boot (\S+)$", unit.read_text(), re.MULTILINE)
    }
    assert named == set(boot.STEPS)


def test_a_failed_step_says_one_line_and_ends_with_the_errors_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        message = "no\nTPM"
        raise UnsupportedTeeError(message)

    monkeypatch.setattr(boot, "STEPS", {"settings": fail})
    assert boot.main("settings") == 20
    assert capsys.readouterr().out == "tunnel: refused: unsupported_tee: no TPM\n"
    monkeypatch.setattr(boot, "STEPS", {"settings": lambda: None})
    assert boot.main("settings") == 0
