"""A stack's file is read as Pulumi reads it; a person's file is laid over its fleet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra import planning, stacks
from runtime.errors import UsageError


def test_local_is_all_at_once_and_as_pulumi_would_hand_it_over() -> None:
    settings = stacks.read("local", None)
    assert (settings.role, settings.protect) == ("all", None)
    config = settings.config("all")
    assert config["tunnel:role"] == "all"
    assert json.loads(config["tunnel:fleet"]) == settings.fleet


def test_objects_are_merged_and_all_else_replaced(tmp_path: Path) -> None:
    overlay = tmp_path / "over.yaml"
    overlay.write_text("dns: {ttl: 5}\nsites: [b.demo.test]\n")
    fleet: Any = stacks.read("local", overlay).fleet
    assert fleet["dns"] == {"zones": [{"name": "demo.test", "providers": ["route53"]}], "ttl": 5}
    assert fleet["sites"] == ["b.demo.test"]


def test_a_stack_without_a_file_takes_its_role_from_its_name(tmp_path: Path) -> None:
    overlay = tmp_path / "fleet.json"
    overlay.write_text("{}")
    assert stacks.read("gcp-prod", overlay).role == "gcp"
    with pytest.raises(UsageError, match="tunnel:role is 'prod'"):
        stacks.read("prod", overlay)


@pytest.mark.parametrize(
    "text", ["- a list", "{", "a: !!python/object:os.system {}", "\x00", "[" * 5000, "a: 2026-13-45"]
)
def test_a_file_that_is_no_object_is_refused(tmp_path: Path, text: str) -> None:
    overlay = tmp_path / "bad.yaml"
    overlay.write_text(text)
    with pytest.raises(UsageError):
        stacks.read("local", overlay)


@pytest.mark.parametrize("stack", ["../local", "Local", "", "a/b"])
def test_a_stack_s_name_is_no_path(stack: str) -> None:
    with pytest.raises(UsageError, match="stack is"):
        stacks.read(stack, None)


def test_a_stack_that_nobody_wrote_is_refused_with_the_way_out() -> None:
    with pytest.raises(UsageError, match=r"there is no Pulumi\.aws-nowhere\.yaml") as caught:
        stacks.read("aws-nowhere", None)
    assert "--config" in caught.value.hint


@pytest.mark.parametrize(("value", "expected"), [("true", True), ("false", False)])
def test_protection_is_said_in_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, expected: bool
) -> None:
    (tmp_path / "Pulumi.aws-x.yaml").write_text(f"config:\n  tunnel:role: aws\n  tunnel:protect: {value}\n")
    monkeypatch.setattr(stacks, "ROOT", tmp_path)
    settings = stacks.read("aws-x", None)
    assert settings.protect is expected
    assert json.loads(settings.config("aws")["tunnel:protect"]) is expected
    assert tmp_path != planning.ROOT
