"""The schema is written as an editor reads it."""

from __future__ import annotations

import json

import pytest

from infra import cli, stack_schema


def test_the_schema_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == stack_schema.build()
