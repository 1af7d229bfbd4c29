"""JSON from strangers: accepted exactly, or refused with `MalformedError`. Pure.

Python's reader takes what RFC 8259 leaves open (duplicate names, NaN, lone surrogates); two readers
that disagree about a signed document are an attack, so none of that is accepted here.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from math import isinf
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
        value = _DECODER.decode(text)
    except UnicodeDecodeError as error:
        raise MalformedError(what, "is not UTF-8", offset=error.start) from error
    except json.JSONDecodeError as error:
        raise MalformedError(what, f"is not JSON: {error.msg}", offset=error.pos) from error
    except (ValueError, RecursionError) as error:
        raise MalformedError(what, str(error)) from error
    if b"\\u" in data:  # nothing else can make a lone surrogate out of UTF-8
        _check_text(value, what)
    return value


def canonical(value: Any) -> bytes:
    """Return the one spelling of a document that our own tools write: sorted, two-space indented."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def _check_depth(data: bytes, what: str) -> None:
    # Before the decoder recurses. A string is one piece, whatever brackets it holds; an open one is the rest.
    depth = 0
    for piece in _PIECES.finditer(data):
        match piece[0]:
            case b"[" | b"{":
                depth += 1
                if depth > MAX_DEPTH:
                    raise MalformedError(what, f"nests deeper than {MAX_DEPTH}", offset=piece.start())
            case b"]" | b"}":
                depth -= 1
            case _:
                pass


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        # All are counted in one go: counting each name apart lets 64 KiB cost a second.
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
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


def _float(text: str) -> float:
    value = float(text)
    if isinf(value):
        message = "has a number that does not fit"
        raise ValueError(message)
    return value


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


_PIECES = re.compile(rb'[\[\]{}]|"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_DECODER = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_constant=_constant, parse_int=_integer, parse_float=_float
)
