"""A table of everything that the program makes, read off a preview: what docs/resources.md is. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from infra.localmock.wire import SHOWN_UNKNOWN, SIGNATURE

_CLOUDS = (
    ("aws", "AWS"),
    ("azure-native", "Azure"),
    ("command", "Azure, by command"),
    ("gcp", "Google Cloud"),
)
# What every resource has, or what is another fleet's own.
_LEFT_OUT = frozenset(
    {"tags", "labels", "name", "description", "comment", "region", "location", "zone", "project"}
)
_OF_THE_IMAGE = frozenset({"key", "blobName", "galleryImageVersionName", "sourceHash", "SHA256", "NAME"})
_LONGEST = 60
_INTRO = """# Resources

Every resource that the program makes in each cloud, and the arguments that it gives. Written by the program
itself: a value is shown where it is the same for every one of them, `…` stands for one that differs, or that
only `up` tells. Names, tags, regions and zones are left out.

Written with `python -m tests.infra.mistakes --table > docs/resources.md`; a test holds that it is current.
"""


def render(preview: Mapping[str, Any]) -> str:
    """Return the page for a preview as `tree.document` writes it."""
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for entry in cast("Sequence[Mapping[str, Any]]", preview["resources"]):
        if entry["custom"]:
            kinds.setdefault(str(entry["type"]), []).append(entry["inputs"])
    parts = [_INTRO]
    for package, title in _CLOUDS:
        found = sorted(kind for kind in kinds if kind.partition(":")[0] == package)
        if found:
            parts.append(f"## {title}\n\n| resource | arguments |\n|---|---|")
            parts += [f"| `{_short(kind)}` | {', '.join(_arguments(kinds[kind]))} |" for kind in found]
            parts.append("")
    return "\n".join(parts).rstrip("\n") + "\n"


def _short(kind: str) -> str:
    _, module, name = kind.split(":")
    return f"{module.partition('/')[0]}.{name}"


def _arguments(inputs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    values: dict[str, set[str]] = {}
    for one in inputs:
        for path, value in _leaves(one, ""):
            values.setdefault(path, set()).add(value)
    for path, found in sorted(values.items()):
        same = next(iter(found)) if len(found) == 1 else ""
        yield f"`{path}={same}`" if same and SHOWN_UNKNOWN not in same else f"`{path}=…`"


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, member in cast("Mapping[str, Any]", value).items():
            if key == SIGNATURE:
                continue  # Pulumi's mark of a file
            if key in _OF_THE_IMAGE:
                yield (f"{path}.{key}" if path else key), ""
            elif path or key not in _LEFT_OUT:
                yield from _leaves(member, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for member in value:
            yield from _leaves(member, f"{path}[]")
    else:
        text = str(value).replace("|", "\\|").replace("\n", " ")
        yield path, text if len(text) <= _LONGEST and "`" not in text else ""
