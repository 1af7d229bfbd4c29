"""A comment says what changes, and nothing in a stranger's preview can be more than text in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import comment


def change(operation: str, name: str, **more: Any) -> dict[str, Any]:
    return {
        "operation": operation,
        "type": "aws:ec2/instance:Instance",
        "name": name,
        "urn": f"urn:{name}",
        "properties": [],
        "forcing": [],
        **more,
    }


def test_changes_are_counted_and_shown_with_their_reason() -> None:
    changes = [
        change("create", "aws-2"),
        change("replace", "aws-1", properties=["tags", "ami"], forcing=["ami"]),
        change("update", "aws-3", properties=["tags.a"]),
        change("delete", "aws-4"),
    ]
    text = comment.render({"aws-prod": {"stack": "aws-prod", "resources": [], "changes": changes}})
    assert "**`aws-prod`**: 1 created, 1 deleted, 1 updated, 1 REPLACED" in text
    assert text.split("```diff\n")[1].split("\n```")[0].splitlines() == [
        "+ aws:ec2/instance:Instance aws-2",
        "+- aws:ec2/instance:Instance aws-1: ami",
        "~ aws:ec2/instance:Instance aws-3: tags.a",
        "- aws:ec2/instance:Instance aws-4",
    ]


def test_no_change_no_baseline_and_a_file_that_is_gone_are_three_things() -> None:
    text = comment.render(
        {"a": {"resources": [{}], "changes": []}, "b": {"resources": [{}, {}]}, "c": {"gone": True}}
    )
    assert "**`a`**: no changes\n" in text
    assert "**`b`**: 2 resources, and no baseline to compare with\n" in text
    assert "**`c`**: its file is gone. Nothing is destroyed by that" in text
    assert "No stack was previewed." in comment.render({})


def test_a_refusal_has_its_problems_or_else_its_message() -> None:
    problems = [{"path": "vm.cpuOptions.amdSevSnp", "message": "is 'on', want enabled"}]
    text = comment.render(
        {
            "a": {"error": {"message": "x", "problems": problems}},
            "b": {"error": {"message": "no", "problems": []}},
        }
    )
    assert "**`a`**: REFUSED\n```diff\nvm.cpuOptions.amdSevSnp: is 'on', want enabled\n```" in text
    assert "**`b`**: REFUSED\n```diff\nno\n```" in text


def test_advice_of_the_guardrails_is_passed_on() -> None:
    advice = {"advice": [{"path": "the stack [spread]", "message": "one cloud only"}]}
    text = comment.render({"a": {"resources": [], "changes": [], "guardrails": advice}})
    assert "guardrails advise:\n```diff\nthe stack [spread]: one cloud only\n```" in text


def test_a_stranger_s_words_stay_within_their_fence() -> None:
    evil = "x\n```\n@everyone [click](https://evil.example)\x1b[2J\u202e"
    text = comment.render({"a`b": {"resources": [], "changes": [change("create", evil)]}})
    assert text.count("```") == 2
    inside = text.split("```diff\n")[1].split("\n```")[0]
    assert "@everyone" in inside
    assert len(inside.splitlines()) == 1
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "**`a?b`**" in text


def test_a_comment_is_never_longer_than_the_forges_take() -> None:
    many = [change("create", "n" * 1000)] * 500
    text = comment.render({f"stack-{n}": {"resources": [], "changes": many} for n in range(40)})
    assert len(text) < 65_000
    assert text.count("```") % 2 == 0
    assert text.endswith("the job's artefact has all of it)\n")
    assert "... and 350 more" in text


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["error", "changes", "guardrails", "advice", "problems", "operation", "forcing", "gone"]
            )
            | st.text(max_size=5),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(previews=st.dictionaries(st.text(max_size=10), _JSON, max_size=3))
def test_any_json_is_rendered_with_every_fence_closed(previews: dict[str, Any]) -> None:
    text = comment.render(previews)
    assert text.startswith("## ")
    assert text.count("```") % 2 == 0


def test_what_is_no_preview_is_said_to_be_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "good.json").write_text(json.dumps({"resources": [], "changes": []}))
    (tmp_path / "empty.json").write_text("")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "elsewhere").write_text('{"resources": []}')
    (tmp_path / "link.json").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "notes.txt").write_text("not asked for")
    assert comment.main([str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "**`good`**: no changes" in told
    for name in ("empty", "deep", "link"):
        assert f"**`{name}`**: its answer is no preview" in told
    assert "notes" not in told


def test_it_wants_one_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert comment.main([]) == 2
    assert "usage" in capsys.readouterr().err
