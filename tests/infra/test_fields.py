"""Every reader of a field accepts what it says and keeps a mistake for everything else."""

from __future__ import annotations

from typing import Any

import pytest

from infra.fields import Fields, form, limits, open_object
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


def mistakes(found: Fields) -> list[str]:
    return [str(problem) for problem in found.problems]


def test_what_is_not_written_is_what_is_usual() -> None:
    found = fields({})
    assert (found.text("a", form("label"), "x"), found.texts("a", form("label"), ["y"])) == ("x", ("y",))
    assert (found.integer("a", 1, 10, 3), found.number("a", 0, 1, 0.5)) == (3, 0.5)
    assert (found.choice("a", ("on", "off"), "on"), found.choices("a", ("on", "off"))) == ("on", ())
    assert (found.flag("a", default=True), found.parts("a", (), (), 1)) == (True, [])
    assert (found.part("a", ("b",)).values, found.mapping("a", form("label"), form("label"))) == ({}, {})
    assert mistakes(found) == []


@pytest.mark.parametrize("value", ["x", True, -0.1, 1.1, None, float("nan")])
def test_what_is_no_number_in_range_is_a_mistake(value: Any) -> None:
    found = fields({"a": value})
    assert found.number("a", 0, 1, 0.5) == 0.5
    assert len(mistakes(found)) == 1


def test_words_are_told_with_the_nearest_one() -> None:
    found = fields({"a": "serving"})
    assert found.choice("a", ("serving", "draining"), "draining") == "serving"
    assert fields({"a": "onn"}).choice("a", ("on", "off"), "off") == "off"
    wrong = fields({"a": "servin"})
    wrong.choice("a", ("serving", "draining"), "draining")
    assert mistakes(wrong) == ["$.a: is 'servin', want one of serving, draining, did you mean 'serving'?"]
    strange = fields({"a": ["on", "zzz", "on", "off"]})
    assert strange.choices("a", ("on", "off")) == ("on", "off")
    assert mistakes(strange) == ["$.a[1]: is 'zzz', want one of on, off", '$.a: has "on" twice']


def test_true_and_false_are_no_other_words() -> None:
    assert not fields({"a": False}).flag("a", default=True)
    found = fields({"a": "yes"})
    assert found.flag("a", default=True)
    assert mistakes(found) == ["$.a: is 'yes', want true or false"]


def test_lists_and_objects_are_what_they_have_to_be() -> None:
    found = fields({"a": "x"})
    assert found.texts("a", form("label")) == ()
    assert found.mapping("a", form("label"), form("label")) == {}
    assert found.part("a", ("b",)).values == {}
    assert mistakes(found) == [
        "$.a: is 'x', want a list",
        "$.a: is 'x', want an object of texts",
        "$.a: is 'x', want an object",
    ]
    few = fields({"a": []})
    assert few.texts("a", form("label"), least=1) == ()
    assert mistakes(few) == ["$.a: has 0 entries, want at least 1"]


def test_objects_within_have_their_own_keys() -> None:
    found = fields({"a": [{"name": "x"}, {"nam": "y"}, {"zzz": 1, "name": "z"}]})
    assert [part.values for part in found.parts("a", ("name",), (), 1)] == [{"name": "x"}, {}, {"name": "z"}]
    assert mistakes(found) == [
        "$.a[1]: unknown key 'nam', did you mean 'name'?",
        "$.a[1].name: is missing",
        "$.a[2]: unknown key 'zzz', want one of name",
    ]
    one = fields({"a": {"name": "x"}})
    assert one.part("a", ("name", "more")).values == {"name": "x"}
    assert mistakes(one) == ["$.a.more: is missing"]


def test_a_mapping_s_names_and_values_have_forms() -> None:
    found = fields({"a": {"x": "y", "BAD": "z"}})
    assert found.mapping("a", form("label"), form("label")) == {"x": "y", "": "z"}
    assert len(mistakes(found)) == 1


def test_limits_have_the_schema_s_bounds() -> None:
    known = limits()
    assert all(bounds.low <= bounds.high for bounds in known.values())
    assert {bounds.whole for bounds in known.values()} <= {True, False}
    assert len(known) > 5
