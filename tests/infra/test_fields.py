"""Every reader of a field accepts what it says and keeps a mistake for everything else."""

from __future__ import annotations

from typing import Any

import pytest

from infra.fields import Fields, form, open_object
from runtime.errors import Problem


def fields(values: object) -> Fields:
    problems: list[Problem] = []
    return open_object(values, "$", problems, (), ("a",))


@pytest.mark.parametrize("value", ["1", True, 1.5, float("inf"), float("nan"), 10**400, None, [], 0, 11])
def test_what_is_no_whole_number_in_range_is_kept_as_a_mistake(value: Any) -> None:
    found = fields({"a": value})
    assert found.integer("a", 1, 10, 7) == 7
    assert len(found.problems) == 1


def test_a_double_that_is_whole_is_the_number_that_was_written() -> None:
    found = fields({"a": 10.0})
    assert found.integer("a", 1, 10) == 10
    assert repr(found.number("a", 0.1, 300, 1)) == "10"
    assert found.problems == []


@pytest.mark.parametrize("value", ["", "UPPER", "-x", "x" * 64, 5, None, "a\n"])
def test_a_label_has_the_schemas_own_form(value: Any) -> None:
    found = fields({"a": value})
    assert found.text("a", form("label")) == ""
    assert found.problems[0].path == "$.a"


def test_a_repeated_text_is_a_mistake() -> None:
    found = fields({"a": ["x", "x"]})
    found.texts("a", form("label"))
    assert [str(problem) for problem in found.problems] == ['$.a: has "x" twice']


def test_an_unknown_form_is_our_own_bug() -> None:
    with pytest.raises(KeyError):
        form("colour")
