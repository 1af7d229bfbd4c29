"""JSON from strangers: accepted exactly, or refused with `MalformedError`. Pure.

Python's reader takes what RFC 8259 leaves open (duplicate names, NaN, lone surrogates); two readers
that disagree about a signed document are an attack, so none of that is accepted here.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from runtime.errors import MalformedError

MAX_DOCUMENT_SIZE = 1 << 20  # bytes; a fleet of 1,024 members is under 600 KiB
MAX_DEPTH = 32  # nested arrays and objects; our schemas need 8


def parse(data: bytes, what: str, *, max_size: int = MAX_DOCUMENT_SIZE) -> Any:
    """Return the value `data` holds; `what` names the file in errors.

    Raises: MalformedError (size, encoding, syntax, duplicate names, depth, non-finite numbers).
    """
    if len(data) > max_size:
        raise MalformedError(what, f"is {len(data)} bytes, want at most {max_size}")
    _check_depth(data, what)
    try:
        text = data.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_pairs, parse_constant=_constant, parse_int=_integer)
    except UnicodeDecodeError as error:
        raise MalformedError(what, "is not UTF-8", offset=error.start) from error
    except json.JSONDecodeError as error:
        raise MalformedError(what, f"is not JSON: {error.msg}", offset=error.pos) from error
    except (ValueError, RecursionError) as error:
        raise MalformedError(what, str(error)) from error
    _check_text(value, what)
    return value


def canonical(value: Any) -> bytes:
    """Return the one spelling of a document that our own tools write: sorted, two-space indented."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def _check_depth(data: bytes, what: str) -> None:
    # Before the decoder recurses: brackets inside strings only make this stricter by skipping them.
    depth, in_string, escaped = 0, False, False
    for offset, byte in enumerate(data):
        if in_string:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                in_string = False
        elif byte == 0x22:
            in_string = True
        elif byte in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise MalformedError(what, f"nests deeper than {MAX_DEPTH}", offset=offset)
        elif byte in b"]}":
            depth -= 1


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        message = f"has the name {twice!r} twice in one object"
        raise ValueError(message)
    return result


def _constant(text: str) -> NoReturn:
    message = f"has the number {text}, which JSON does not know"
    raise ValueError(message)


def _integer(text: str) -> int:
    if len(text) > 20:
        message = f"has an integer of {len(text)} digits"
        raise ValueError(message)
    return int(text)


def _check_text(value: Any, what: str) -> None:
    """Refuse lone surrogates, which no UTF-8 output could carry."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            try:
                item.encode()
            except UnicodeEncodeError as error:
                raise MalformedError(what, "has a lone surrogate in a string") from error
        elif isinstance(item, dict):
            stack.extend(item.keys())
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
        elif isinstance(item, float) and item in (float("inf"), float("-inf")):
            raise MalformedError(what, "has a number that does not fit")
