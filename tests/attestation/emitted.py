"""Which checks there are: what the sources can say, and what a verifier says of good evidence. Pure.

Two lists, since each sees what the other does not. `spoken` listens while evidence of every platform is
appraised: the very ids, however their names come about. `written` reads the sources: also those checks that
only a refusal says, with `*` for what is filled in.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from runtime.attestation.findings import Findings

ROOM = Path(__file__).resolve().parents[2] / "runtime" / "attestation"
_ID = re.compile(r"[a-z][a-z0-9_-]*(?:\.[a-z0-9_*]+)+")
_NITRO = "tees/nitro/"  # what is said there travels behind a prefix


def _place(file: str) -> str:
    return Path(file).resolve().relative_to(ROOM).as_posix()


@contextmanager
def listening() -> Generator[dict[str, set[str]]]:
    """Yield, by id, which modules asked for the checks that are made meanwhile."""
    heard: dict[str, set[str]] = defaultdict(set)
    real = Findings.require

    def require(self: Findings, ok: bool, check: str, *args: Any, **more: Any) -> bool:
        place = _place(sys._getframe(1).f_code.co_filename)
        heard[f"nitro.{check}" if place.startswith(_NITRO) else check].add(place)
        return real(self, ok, check, *args, **more)

    with mock.patch.object(Findings, "require", require):
        yield heard


@cache
def written() -> Mapping[str, set[str]]:
    """Return the ids in the sources, `*` where something is filled in, and which modules write each."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted(ROOM.rglob("*.py")):
        place = _place(str(path))
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(call, ast.Call) and _about_findings(call):
                for name in _names(call):
                    found[f"nitro.{name}" if place.startswith(_NITRO) else name].add(place)
    return found


def _about_findings(call: ast.Call) -> bool:
    """Tell whether a call is `findings.require(…)`, or hands the findings on to what makes it."""
    of = call.func.value if isinstance(call.func, ast.Attribute) else None
    return any(isinstance(part, ast.Name) and part.id == "findings" for part in (of, *call.args))


def _names(call: ast.Call) -> Iterable[str]:
    for part in call.args:
        text = _text(part)
        if _ID.fullmatch(text):
            yield text


def _text(part: ast.expr) -> str:
    if isinstance(part, ast.Constant) and isinstance(part.value, str):
        return part.value
    if isinstance(part, ast.JoinedStr):
        return "".join(_text(value) if isinstance(value, ast.Constant) else "*" for value in part.values)
    return ""


def fits(pattern: str, ids: Iterable[str]) -> bool:
    """Tell whether one of `ids` can be what the sources write as `pattern`."""
    return any(fnmatchcase(check, pattern) for check in ids)
