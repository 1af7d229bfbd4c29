"""Answers go to stdout, everything else to stderr."""

from __future__ import annotations

import json

import pytest

from infra import console
from runtime.errors import DocumentError, Problem, UsageError


def test_a_refusal_is_story_hint_and_answer(capsys: pytest.CaptureFixture[str]) -> None:
    error = DocumentError("configuration", [Problem("$.a", "is missing")], hint="add it")
    console.refusal(error, as_json=True)
    told = capsys.readouterr()
    assert json.loads(told.out)["error"]["problems"] == [{"path": "$.a", "message": "is missing"}]
    assert told.err == "tunnel-fleet: configuration is not valid:\n  $.a: is missing\nhint: add it\n"


def test_without_json_nothing_is_answered(capsys: pytest.CaptureFixture[str]) -> None:
    console.refusal(UsageError("no such stack"), as_json=False)
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "tunnel-fleet: no such stack\n")


def test_equal_answers_are_equal_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    console.answer_json({"b": 1, "a": "é"})
    assert capsys.readouterr().out == '{\n  "a": "é",\n  "b": 1\n}\n'
