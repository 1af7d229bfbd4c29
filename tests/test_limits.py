"""Every limit has bounds, a setting and a row in the documentation; what would disable one is refused."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from runtime.documents import schema
from runtime.errors import MalformedError
from runtime.limits import BOUNDS, Limits

DEFAULTS: dict[str, Any] = {each.name: each.default for each in fields(Limits)}


def shown(value: object) -> str:
    """A number as the table has it: no exponent, no needless zero."""
    return f"{float(str(value)):.10g}"


DOCS = Path(__file__).resolve().parents[1] / "docs/operations.md"


@pytest.mark.parametrize("name", list(DEFAULTS))
@pytest.mark.parametrize("value", [0, -1])
def test_every_limit_is_positive(name: str, value: int) -> None:
    with pytest.raises(MalformedError):
        replace(Limits(), **{name: value})


@pytest.mark.parametrize(
    "wrong",
    [
        {"credit": 20_000},
        {"ping_s": 5.0, "silent_s": 4.0},
        {"max_unjoined": 8},
        {"max_unconfirmed": 8},
        {"appraisals_per_member": 17},
        {"appraisals_per_address": 65},
        {"owners_proving_per_address": 17},
        {"owner_idle_s": 121.0},
    ],
    ids=str,
)
def test_limits_that_contradict_each_other_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(MalformedError):
        Limits(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", list(DEFAULTS))
def test_every_default_is_within_its_bounds(name: str) -> None:
    bounds = BOUNDS[name]
    assert bounds.least <= DEFAULTS[name] <= bounds.most
    assert bounds.code


def test_a_dead_peer_is_always_noticed_within_fifteen_seconds() -> None:
    """The promise, whatever the settings say."""
    assert BOUNDS["silent_s"].most == 15


def test_the_settings_schema_has_every_limit_with_the_same_bounds() -> None:
    properties = json.loads(schema.text("settings"))["properties"]["limits"]["properties"]
    assert {name: (part["type"], part["minimum"], part["maximum"]) for name, part in properties.items()} == {
        name: (
            "integer" if isinstance(DEFAULTS[name], int) else "number",
            bounds.least,
            bounds.most,
        )
        for name, bounds in BOUNDS.items()
    }


def test_the_documented_table_is_the_code_s() -> None:
    """docs/operations.md: `| name | default | least | most | code | ... |`."""
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \| (\S+) \| (\S+) \| `(\w+)` \|", DOCS.read_text(), re.MULTILINE)
    assert {row[0]: row[1:] for row in rows} == {
        name: (shown(DEFAULTS[name]), shown(bounds.least), shown(bounds.most), bounds.code)
        for name, bounds in BOUNDS.items()
    }
