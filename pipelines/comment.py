"""Render previews as the comment under a pull or merge request. Standard library and pure modules only.

The previews may come from a stranger's change: whatever they hold ends up as plain text within a fence,
bounded, and what is no preview is said to be none.

Usage: python3 -m pipelines.comment FOLDER     (of STACK.json, as `pipelines/previews` writes them)
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from infra.localmock.changes import SIGNS

TITLE = "What this would change"
_LARGEST = 16 << 20  # bytes of one preview; a fleet of 1,024 members stays below
_LONGEST = 200  # characters of a line
_MOST_LINES = 150  # of one stack
_MOST = 60_000  # characters in all; GitHub takes 65,536
_WORDS = {"create": "created", "delete": "deleted", "update": "updated", "replace": "REPLACED"}


def render(previews: Mapping[str, object]) -> str:
    """Return the comment for previews by stack, each a JSON value, or None where the file was none."""
    parts = [f"## {TITLE}", ""]
    if not previews:
        parts.append("No stack was previewed.")
    for stack, preview in sorted(previews.items()):
        parts += [*_section(stack, preview), ""]
    parts.append("Previewed offline, without credentials; the clouds have the last word.")
    whole = "\n".join(parts) + "\n"
    return whole if len(whole) <= _MOST else _cut(whole)


def read(folder: Path) -> dict[str, object]:
    """Return the previews in a folder, by stack."""
    found: dict[str, object] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            small = path.is_file() and not path.is_symlink() and path.stat().st_size <= _LARGEST
            found[path.stem] = json.loads(path.read_bytes()) if small else None
        except (OSError, ValueError, RecursionError):
            found[path.stem] = None
    return found


def _section(stack: str, preview: object) -> Iterator[str]:
    name = _plain(stack)
    if not isinstance(preview, dict):
        yield f"**`{name}`**: its answer is no preview"
        return
    answer = cast("dict[str, Any]", preview)
    if answer.get("gone") is True:
        yield f"**`{name}`**: its file is gone. Nothing is destroyed by that (`docs/clouds.md`, Teardown)"
    elif "error" in answer:
        yield f"**`{name}`**: REFUSED"
        yield from _fence(_problems(answer["error"]))
    elif "changes" not in answer:
        resources = len(_objects(answer.get("resources")))
        yield f"**`{name}`**: {resources} resources, and no baseline to compare with"
    else:
        changes = _objects(answer["changes"])
        yield f"**`{name}`**: {_counted(changes)}"
        if changes:
            yield from _fence([_change(change) for change in changes])
    if advice := _objects(cast("Any", _object(answer.get("guardrails")).get("advice"))):
        yield "guardrails advise:"
        yield from _fence([_problem(entry) for entry in advice])


def _counted(changes: Sequence[Mapping[str, Any]]) -> str:
    counts = Counter(str(change.get("operation")) for change in changes)
    told = [f"{counts[operation]} {word}" for operation, word in _WORDS.items() if counts[operation]]
    return ", ".join(told) or "no changes"


def _change(change: Mapping[str, Any]) -> str:
    signs: Mapping[str, str] = cast("Mapping[str, str]", SIGNS)
    sign = signs.get(str(change.get("operation")), "?")
    paths = change.get("forcing") or change.get("properties")
    why = f": {', '.join(map(str, cast('list[object]', paths)))}" if isinstance(paths, list) and paths else ""
    return f"{sign} {change.get('type')} {change.get('name')}{why}"


def _problems(error: object) -> list[str]:
    problems = _objects(_object(error).get("problems"))
    return [_problem(entry) for entry in problems] or [str(_object(error).get("message"))]


def _problem(entry: Mapping[str, Any]) -> str:
    return f"{entry.get('path')}: {entry.get('message')}"


def _fence(lines: Sequence[str]) -> Iterator[str]:
    yield "```diff"
    yield from (_plain(line) for line in lines[:_MOST_LINES])
    if len(lines) > _MOST_LINES:
        yield f"... and {len(lines) - _MOST_LINES} more, in the job's artefact"
    yield "```"


def _plain(text: str) -> str:
    """Return it as one line that ends no fence and moves no cursor."""
    kept = "".join(letter if letter.isprintable() and letter != "`" else "?" for letter in text)
    return kept if len(kept) <= _LONGEST else f"{kept[:_LONGEST]}..."


def _cut(whole: str) -> str:
    kept = whole[:_MOST].rpartition("\n")[0]
    fence = "\n```" if kept.count("```") % 2 else ""
    return f"{kept}{fence}\n\n(cut here; the job's artefact has all of it)\n"


def _object(value: object) -> Mapping[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _objects(value: object) -> list[Mapping[str, Any]]:
    entries = cast("list[object]", value) if isinstance(value, list) else []
    return [_object(entry) for entry in entries]


def main(arguments: list[str]) -> int:
    """Write the comment to stdout; return the exit status."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python3 -m pipelines.comment FOLDER\n")
        return 2
    sys.stdout.write(render(read(Path(arguments[0]))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
