"""Strategies that damage an example: every document reader is held to "accept, or DocumentError"."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from runtime.errors import DocumentError

EXAMPLES = Path(__file__).resolve().parents[2] / "runtime" / "documents" / "examples"


def example(name: str) -> bytes:
    """Return an example as shipped."""
    return (EXAMPLES / f"{name}.json").read_bytes()


def changed(name: str, *path: str | int, to: Any) -> bytes:
    """Return the example with one value replaced (or added)."""
    document = json.loads(example(name))
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = copy.deepcopy(to)
    return json.dumps(document).encode()


def without(name: str, *path: str | int) -> bytes:
    """Return the example with one value removed."""
    document = json.loads(example(name))
    place = document
    for step in path[:-1]:
        place = place[step]
    del place[path[-1]]
    return json.dumps(document).encode()


def problems(read: Callable[[bytes], object], data: bytes) -> dict[str, str]:
    """Return what a reader finds wrong, by path; fails when it accepts."""
    try:
        read(data)
    except DocumentError as error:
        found: dict[str, str] = {}
        for problem in error.problems:
            found[problem.path] = (
                f"{found[problem.path]}; {problem.message}" if problem.path in found else problem.message
            )
        return found
    raise AssertionError("the reader accepted it")


def accepts_or_refuses(read: Callable[[bytes], object], data: bytes) -> None:
    """Read; anything but a value or a DocumentError with problems goes through to the test."""
    try:
        read(data)
    except DocumentError as error:
        assert error.problems
        assert all(problem.path.startswith("$") and problem.message for problem in error.problems)


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """Return `data` with one byte replaced, removed or inserted."""
    at = draw(st.integers(0, len(data) - 1))
    byte = bytes([draw(st.integers(0, 255))])
    return data[:at] + draw(st.sampled_from([byte, b"", byte + data[at : at + 1]])) + data[at + 1 :]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def rewritten(draw: st.DrawFn, data: bytes) -> bytes:
    """Return the document with one value anywhere replaced by another JSON value, or gone."""
    document = json.loads(data)
    places: list[tuple[Any, Any]] = []
    stack: list[Any] = [document]
    while stack:
        item = stack.pop()
        keys = list(item) if isinstance(item, dict) else list(range(len(item)))
        places += [(item, key) for key in keys]
        stack += [item[key] for key in keys if isinstance(item[key], dict | list)]
    place, key = draw(st.sampled_from(places))
    kind = draw(st.sampled_from(["replace", "remove", "nudge"]))
    if kind == "remove":
        del place[key]
    elif kind == "nudge" and isinstance(place[key], str | int) and not isinstance(place[key], bool):
        value = place[key]
        place[key] = (
            draw(st.sampled_from([value + "\n", "\n" + value, value * 2, value.upper()]))
            if isinstance(value, str)
            else draw(st.sampled_from([float(value), -value, value + 1, str(value), value * 10**18]))
        )
    else:
        place[key] = draw(JSON)
    return json.dumps(document).encode("utf-8", "surrogatepass")
