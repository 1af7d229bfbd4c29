"""Two fleet documents of one fleet made into one: everything that either accepts, or every conflict. Pure.

Nothing is chosen between two answers to one question. Members, images, firmware values and waivers are united
by what names them, reference values by evidence format; where both speak of the same thing they have to say
the same. Only the version (the higher) and the life (the later issue, the earlier end) follow rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from infra.changes import KEYED
from runtime.documents import times
from runtime.errors import Problem

_SAME = ("schema", "fleet", "purpose", "tunnel_name", "least_grade")  # a document is about one fleet
_LISTS = ("members", "images", "firmware", "waivers")  # entries of one name are one entry


def merge(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """Return the document of both, and what they contradict each other in; with problems it is of no use.

    Both are JSON values of documents that were read without a problem.
    """
    problems = [problem for name in _SAME for problem in _differing(f"$.{name}", one[name], other[name])]
    merged: dict[str, Any] = {name: one[name] for name in _SAME}
    merged["version"] = max(one["version"], other["version"])
    merged["issued_at"] = max(one["issued_at"], other["issued_at"], key=times.parse)
    merged["expires_at"] = min(one["expires_at"], other["expires_at"], key=times.parse)
    for name in _LISTS:
        ours, theirs = _keyed(one[name], KEYED[name]), _keyed(other[name], KEYED[name])
        problems += _shared(f"$.{name}", ours, theirs)
        merged[name] = list((ours | theirs).values())
    ours, theirs = one["reference_values"], other["reference_values"]
    problems += _shared("$.reference_values", ours, theirs)
    merged["reference_values"] = {**ours, **theirs}
    return merged, problems


def _keyed(entries: list[dict[str, Any]], words: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    return {" ".join(str(entry[word]) for word in words): entry for entry in entries}


def _shared(path: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[Problem]:
    """Compare what both have; what only one has is nobody's conflict."""
    for key in sorted(ours.keys() & theirs.keys()):
        yield from _differing(f"{path}[{key}]", ours[key], theirs[key])


def _differing(path: str, one: Any, other: Any) -> Iterator[Problem]:
    """Name every place in which two answers to one question differ; a missing word is an answer too."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted({*one, *other}):
            here = f"{path}.{name}"
            if name not in one or name not in other:
                there = "second" if name not in one else "first"
                yield Problem(here, f"is in the {there} document only")
            else:
                yield from _differing(here, one[name], other[name])
    elif one != other:
        yield Problem(path, f"is {one!r} in the first document and {other!r} in the second")
