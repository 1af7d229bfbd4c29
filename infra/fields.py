"""Read one configuration object key by key; every mistake is kept, none stops the reading. Pure.

What a name, a URL or a port looks like is said once, in the documents' schemas; it is taken from there.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeGuard, TypeVar, cast

from runtime.documents import schema, strict_json
from runtime.errors import Problem

Word = TypeVar("Word", bound=str)


@dataclass(frozen=True, slots=True)
class Form:
    """What a text has to look like: the whole of it, in words for the refusal."""

    pattern: str
    want: str
    longest: int = 2048


@cache
def form(name: str) -> Form:
    """Return the schemas' own form of a label, name, hostname, url, socket, address, ed25519 or sha256."""
    for file in ("settings", "fleet"):
        forms = strict_json.parse(schema.text(file).encode(), f"{file} schema")["$defs"]
        if name in forms:
            part = forms[name]
            return Form(part["pattern"], part["description"], part.get("maxLength", 2048))
    message = f"no schema defines {name}"
    raise KeyError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a number of the settings' schema may be."""

    low: float
    high: float
    whole: bool


@cache
def limits() -> Mapping[str, Bounds]:
    """Return the limits that settings may carry, each with the schema's own bounds."""
    settings = strict_json.parse(schema.text("settings").encode(), "settings schema")
    known = settings["properties"]["limits"]["properties"]
    return {
        name: Bounds(low=part["minimum"], high=part["maximum"], whole=part["type"] == "integer")
        for name, part in known.items()
        if part.get("type") in {"integer", "number"}
    }


@dataclass(frozen=True, slots=True)
class Fields:
    """One object: its values by key, its place in the configuration, and where mistakes are put.

    A value that is missing or wrong is answered with an empty one of its type, after the mistake was kept.
    """

    values: Mapping[str, object]
    path: str
    problems: list[Problem]

    def wrong(self, key: str, message: str) -> None:
        """Keep a mistake at `key`."""
        self.problems.append(Problem(f"{self.path}.{key}", message))

    def text(self, key: str, want: Form, default: str = "") -> str:
        """Return a text of that form."""
        if key not in self.values:
            return default
        return self._checked(key, self.values[key], want)

    def texts(self, key: str, want: Form, default: Sequence[str] = (), *, least: int = 0) -> tuple[str, ...]:
        """Return a list of different texts of that form."""
        if key not in self.values:
            return tuple(default)
        found = self._list(key, least)
        texts = tuple(self._checked(f"{key}[{index}]", value, want) for index, value in enumerate(found))
        for twice in sorted({text for text in texts if text and texts.count(text) > 1}):
            self.wrong(key, f'has "{twice}" twice')
        return texts

    def integer(self, key: str, low: int, high: int, default: int = 0) -> int:
        """Return a whole number from low to high."""
        value = self.values.get(key)
        if key not in self.values:
            return default
        # Pulumi carries numbers as doubles: 60.0 is the 60 that was written.
        if not (_number(value) and float(value).is_integer() and low <= value <= high):
            self.wrong(key, f"is {value!r}, want a whole number from {low} to {high}")
            return default
        return int(value)

    def number(self, key: str, low: float, high: float, default: float) -> float:
        """Return a number from low to high; a whole one is an integer, however it was spelled."""
        value = self.values.get(key, default)
        if not (_number(value) and low <= value <= high):
            self.wrong(key, f"is {value!r}, want a number from {low} to {high}")
            return default
        return int(value) if float(value).is_integer() else value

    def choice(self, key: str, words: Sequence[Word], default: Word) -> Word:
        """Return one of the words."""
        value = self.values.get(key, default)
        if value not in words:
            self.wrong(key, _not_one_of(value, words))
            return default
        return cast("Word", value)

    def choices(self, key: str, words: Sequence[Word]) -> tuple[Word, ...]:
        """Return a list of at least one of the words, each once."""
        if key not in self.values:
            return ()
        found: list[Word] = []
        for index, value in enumerate(self._list(key, 1)):
            if value not in words:
                self.wrong(f"{key}[{index}]", _not_one_of(value, words))
            elif value in found:
                self.wrong(key, f'has "{value}" twice')
            else:
                found.append(cast("Word", value))
        return tuple(found)

    def flag(self, key: str, *, default: bool) -> bool:
        """Return true or false."""
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            self.wrong(key, f"is {value!r}, want true or false")
            return default
        return value

    def part(self, key: str, required: Sequence[str], optional: Sequence[str] = ()) -> Fields:
        """Return the object at `key`, its keys checked."""
        value = self.values.get(key, {})
        present = key in self.values
        return open_object(value, f"{self.path}.{key}", self.problems, required if present else (), optional)

    def parts(self, key: str, required: Sequence[str], optional: Sequence[str], least: int) -> list[Fields]:
        """Return the list of objects at `key`, the keys of each checked."""
        if key not in self.values:
            return []
        return [
            open_object(value, f"{self.path}.{key}[{index}]", self.problems, required, optional)
            for index, value in enumerate(self._list(key, least))
        ]

    def mapping(self, key: str, names: Form, values: Form) -> dict[str, str]:
        """Return an object of texts whose keys are not known beforehand."""
        value = self.values.get(key, {})
        if not isinstance(value, Mapping):
            self.wrong(key, f"is {value!r}, want an object of texts")
            return {}
        pairs = cast("Mapping[object, object]", value)
        return {
            self._checked(key, name, names): self._checked(f"{key}.{name}", item, values)
            for name, item in pairs.items()
        }

    def _list(self, key: str, least: int) -> list[object]:
        value = self.values[key]
        if not isinstance(value, list):
            self.wrong(key, f"is {value!r}, want a list")
            return []
        found = cast("list[object]", value)
        if len(found) < least:
            self.wrong(key, f"has {len(found)} entries, want at least {least}")
        return found

    def _checked(self, key: str, value: object, want: Form) -> str:
        if not isinstance(value, str) or len(value) > want.longest or not re.fullmatch(want.pattern, value):
            self.wrong(key, f"is {value!r}, want {want.want}")
            return ""
        return value


def _not_one_of(value: object, words: Sequence[str]) -> str:
    near = difflib.get_close_matches(str(value), words, n=1)
    hint = f", did you mean {near[0]!r}?" if near else ""
    return f"is {value!r}, want one of {', '.join(words)}{hint}"


def _number(value: object) -> TypeGuard[int | float]:
    # Beyond a double's exact integers there is nothing to configure, and infinity is no integer.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 2**53


def open_object(
    value: object, path: str, problems: list[Problem], required: Sequence[str], optional: Sequence[str] = ()
) -> Fields:
    """Return the object's fields; unknown keys (with the nearest known one) and missing keys are kept."""
    if not isinstance(value, Mapping):
        problems.append(Problem(path, f"is {value!r}, want an object"))
        return Fields({}, path, problems)
    values = {str(key): item for key, item in cast("Mapping[object, object]", value).items()}
    known = [*required, *optional]
    for name in sorted(set(values) - set(known)):
        near = difflib.get_close_matches(name, known, n=1)
        hint = f", did you mean {near[0]!r}?" if near else f", want one of {', '.join(known)}"
        problems.append(Problem(path, f"unknown key {name!r}{hint}"))
    problems += [Problem(f"{path}.{name}", "is missing") for name in required if name not in values]
    return Fields({name: item for name, item in values.items() if name in known}, path, problems)
