"""Check a parsed document against its JSON Schema: every problem at once, each with its path.

Pure but for reading our own schema files, once, from the package.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

from jsonschema import Draft202012Validator, ValidationError, validators
from jsonschema.protocols import Validator

from runtime.documents import strict_json
from runtime.errors import DocumentError, MalformedError, Problem

MAX_PROBLEMS = 100  # more would bury the first ones


def read(data: bytes, what: str, schema: str) -> dict[str, Any]:
    """Parse `data` and hold it against `schemas/<schema>.schema.json`.

    Raises: DocumentError with every problem found, a syntax error among them.
    """
    try:
        value = strict_json.parse(data, what)
    except MalformedError as error:
        raise DocumentError(what, [Problem("$", str(error))]) from error
    problems = list(_problems(_validator(schema), value))
    if problems:
        raise DocumentError(what, problems[:MAX_PROBLEMS])
    document: dict[str, Any] = value  # every schema of ours is an object's
    return document


def text(schema: str) -> str:
    """Return a schema file as shipped, for editors and documentation."""
    return resources.files("runtime.documents").joinpath(f"schemas/{schema}.schema.json").read_text("utf-8")


def _pattern(_: Validator, pattern: str, value: object, __: object) -> Iterator[ValidationError]:
    # Python's `$` also matches before a final line break; ECMA 262's, which schemas mean, does not.
    if isinstance(value, str) and (value.endswith("\n") or not re.search(pattern, value)):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


def _is_integer(_: object, value: object) -> bool:
    # JSON Schema calls 1.0 an integer; a reader that gets a float from one breaks on it.
    return isinstance(value, int) and not isinstance(value, bool)


_Strict: type[Draft202012Validator] = validators.extend(  # type: ignore[no-untyped-call]  # the stubs say nothing of extend
    Draft202012Validator,
    validators={"pattern": _pattern},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
)


@cache
def _validator(schema: str) -> Draft202012Validator:
    parsed = strict_json.parse(text(schema).encode(), f"{schema} schema")
    Draft202012Validator.check_schema(parsed)
    return _Strict(parsed)


def _problems(validator: Draft202012Validator, value: Any) -> Iterator[Problem]:
    errors = sorted(
        validator.iter_errors(value), key=lambda error: [str(part) for part in error.absolute_path]
    )
    for error in errors:
        yield from _explain(error)


def _explain(error: ValidationError) -> Iterator[Problem]:
    path, schema, got = _path(error), error.schema, error.instance
    wanted = str(schema.get("description", "")) if isinstance(schema, dict) else ""
    rule, limit = str(error.validator), error.validator_value
    if rule == "additionalProperties" and isinstance(got, dict) and isinstance(schema, dict):
        known = list(schema.get("properties", {}))
        for name in sorted(set(got) - set(known)):
            near = difflib.get_close_matches(name, known, n=1)
            hint = f", did you mean {near[0]!r}?" if near else f", want one of {known}"
            yield Problem(path, f"unknown key {name!r}{hint}")
    elif rule == "required" and isinstance(got, dict) and isinstance(limit, list):
        # jsonschema reports one error per missing name; its message starts with that name.
        yield Problem(path, error.message.replace(" is a required property", " is missing"))
    elif rule in {"oneOf", "anyOf"}:
        yield Problem(path, f"is {_show(got)}, want {wanted or 'one of the allowed forms'}")
    elif rule in {"pattern", "const", "enum", "type", "minimum", "maximum"}:
        want = wanted if wanted and rule == "pattern" else _want(rule, limit)
        yield Problem(path, f"is {_show(got)}, want {want}")
    else:
        yield Problem(path, error.message[:300])


def _want(rule: str, limit: Any) -> str:
    match rule:
        case "enum":
            return "one of " + ", ".join(map(_show, limit))
        case "minimum":
            return f"at least {limit}"
        case "maximum":
            return f"at most {limit}"
        case "pattern":
            return f"text that matches {limit}"
        case "type" if isinstance(limit, list):
            return " or ".join(map(str, limit))
        case _:
            return _show(limit) if rule == "const" else str(limit)


def _show(value: Any) -> str:
    shown = (
        strict_json.canonical(value).decode().strip() if isinstance(value, str | int | bool) else repr(value)
    )
    return shown if len(shown) <= 80 else shown[:77] + "..."


def _path(error: ValidationError) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    return "$" + "".join(parts)
