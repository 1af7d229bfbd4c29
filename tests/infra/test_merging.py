"""Two documents become one that accepts what either does, or every contradiction is named."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra import changes
from infra.merging import merge
from runtime.documents import fleet, strict_json

EXAMPLE: dict[str, Any] = json.loads(
    (Path(fleet.__file__).parent / "examples" / "fleet.json").read_text("utf-8")
)
LISTS = ("members", "images", "firmware", "waivers")


def edited(edit: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    made = copy.deepcopy(EXAMPLE)
    edit(made)
    return made


def paths(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [problem.path for problem in merge(one, other)[1]]


def test_a_document_with_itself_is_itself() -> None:
    merged, problems = merge(EXAMPLE, EXAMPLE)
    assert problems == []
    assert merged == EXAMPLE


@given(st.data())
def test_whatever_is_shared_out_comes_together_again(data: st.DataObject) -> None:
    """Each entry goes to the one, the other or both: the union is the whole, and says nothing else."""
    one, other = copy.deepcopy(EXAMPLE), copy.deepcopy(EXAMPLE)
    for name in (*LISTS, "reference_values"):
        whole = EXAMPLE[name]
        where = data.draw(st.lists(st.integers(1, 3), min_size=len(whole), max_size=len(whole)))
        for document, bit in ((one, 1), (other, 2)):
            if isinstance(whole, dict):
                document[name] = {key: whole[key] for key, at in zip(whole, where, strict=True) if at & bit}
            else:
                document[name] = [entry for entry, at in zip(whole, where, strict=True) if at & bit]
    merged, problems = merge(one, other)
    assert problems == []
    assert changes.changes(EXAMPLE, merged) == ()
    assert merge(other, one)[1] == []
    fleet.read(strict_json.canonical(merged))


def test_nothing_is_lost_and_nothing_is_tightened_against_either() -> None:
    one = edited(lambda document: document["members"].pop())
    other = edited(lambda document: document["members"].pop(0))
    merged, problems = merge(one, other)
    assert problems == []
    for document in (one, other):
        assert {change.effect for change in changes.changes(document, merged)} == {"loosens"}


def member(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["members"][1]
    return found


@pytest.mark.parametrize(
    ("edit", "path"),
    [
        (lambda document: document.update(fleet="other"), "$.fleet"),
        (lambda document: document.update(purpose="test"), "$.purpose"),
        (lambda document: document.update(tunnel_name="other.example.com"), "$.tunnel_name"),
        (lambda document: document["least_grade"].update(client="P"), "$.least_grade.client"),
        (lambda document: member(document).update(settings_sha256="ab" * 32), ".settings_sha256"),
        (lambda document: member(document).update(hostnames=["bank.example.com"]), ".hostnames"),
        (lambda document: document["images"][0].update(not_after="2030-01-01T00:00:00Z"), ".not_after"),
        (lambda document: document["firmware"][0].update(not_after="2030-01-01T00:00:00Z"), ".not_after"),
    ],
)
def test_two_answers_to_one_question_are_a_conflict_and_never_a_choice(
    edit: Callable[[dict[str, Any]], object], path: str
) -> None:
    for pair in ((EXAMPLE, edited(edit)), (edited(edit), EXAMPLE)):
        found = paths(*pair)
        assert len(found) == 1
        assert found[0].endswith(path)


def test_a_word_that_only_one_has_of_a_format_is_a_conflict_too() -> None:
    """Left out may mean more or less than written: within one format both have to say the same."""
    name = next(iter(EXAMPLE["reference_values"]))
    key = next(iter(EXAMPLE["reference_values"][name]))
    less = edited(lambda document: document["reference_values"][name].pop(key))
    assert paths(EXAMPLE, less) == [f"$.reference_values[{name}].{key}"]
    assert "first document only" in merge(EXAMPLE, less)[1][0].message
    assert "second document only" in merge(less, EXAMPLE)[1][0].message


def test_every_conflict_is_named() -> None:
    def edit(document: dict[str, Any]) -> None:
        document["fleet"] = "other"
        member(document)["settings_sha256"] = "ab" * 32
        member(document)["hostnames"] = ["bank.example.com"]

    assert len(paths(EXAMPLE, edited(edit))) == 3


def test_the_version_is_the_higher_and_the_life_what_both_grant() -> None:
    def edit(document: dict[str, Any]) -> None:
        document.update(
            version=EXAMPLE["version"] + 7,
            issued_at="2026-01-05T00:00:00Z",
            expires_at="2026-01-20T00:00:00Z",
        )

    longer = edited(
        lambda document: document.update(issued_at="2026-01-01T00:00:00Z", expires_at="2026-02-01T00:00:00Z")
    )
    merged, problems = merge(longer, edited(edit))
    assert problems == []
    assert (merged["version"], merged["issued_at"], merged["expires_at"]) == (
        EXAMPLE["version"] + 7,
        "2026-01-05T00:00:00Z",
        "2026-01-20T00:00:00Z",
    )
