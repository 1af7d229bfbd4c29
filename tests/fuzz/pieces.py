"""The same bytes whole and in pieces: whoever reads a stream may not see where its segments end. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from runtime.errors import TunnelError

T = TypeVar("T")

MOST_PIECES = 64  # pieces; after that the rest comes at once, or a long input takes too long


def cut(data: bytes) -> tuple[bytes, list[bytes]]:
    """Return the bytes that a parser gets, and pieces of them; the first byte says how long a piece is."""
    rest = data[1:]
    if not rest:
        return b"", []
    size = data[0] % 32 + 1
    stops = [*range(0, len(rest), size)][:MOST_PIECES]
    return rest, [rest[start:stop] for start, stop in zip(stops, [*stops[1:], len(rest)], strict=True)]


def outcome(read: Callable[[bytes], Iterable[T]], pieces: Iterable[bytes]) -> tuple[list[T], str | None]:
    """Feed the pieces; return what came out and the code of the error that ended it, if one did."""
    found: list[T] = []
    try:
        for piece in pieces:
            found.extend(read(piece))
    except TunnelError as error:
        return found, error.code
    return found, None
