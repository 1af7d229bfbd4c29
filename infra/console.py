"""Where a command's words go: the answer to stdout, the story to stderr. I/O."""

from __future__ import annotations

import json
import sys
from typing import Any

from runtime.errors import DocumentError, TunnelError

NAME = "tunnel-fleet"


def answer(text: str) -> None:
    """Write what was asked for."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def answer_json(value: Any) -> None:
    """Write what was asked for, for a program to read: sorted, so that equal answers are equal bytes."""
    answer(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False))


def story(text: str) -> None:
    """Write what is going on."""
    sys.stderr.write(f"{NAME}: {text}\n")
    sys.stderr.flush()


def story_lines(text: str) -> None:
    """Write what another program says of its work, as it comes."""
    sys.stderr.write(text.rstrip() + "\n")
    sys.stderr.flush()


def refusal(error: TunnelError, *, as_json: bool) -> None:
    """Write an error and its hint; when a program is reading, as its one answer too, if it has none yet."""
    story(str(error))
    hint = getattr(error, "hint", "")
    if hint:
        sys.stderr.write(f"hint: {hint}\n")
    if as_json and not getattr(error, "answered", False):
        problems = error.problems if isinstance(error, DocumentError) else ()
        shown = [{"path": problem.path, "message": problem.message} for problem in problems]
        answer_json({"error": {"code": error.code, "message": str(error), "problems": shown}})
