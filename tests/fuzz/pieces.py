"""The same bytes whole and in pieces: whoever reads a stream may not see where its segments end. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from runtime.errors import TunnelError

T = TypeVar("T")

MOST_PIECES = 12  # after those the rest comes at once, or a long input takes too long


def cut(data: bytes) -> tuple[bytes, list[bytes]]:
    """Return the bytes that a parser gets, and pieces of them; the first byte says how long a piece is."""
    rest = data[1:]
    if not rest:
        return b"", []
    size = data[0] % 32 + 1
    stops = [*range(0, len(rest), size)][:MOST_PIECES]
    return rest, [rest[start:stop] for start, stop in zip(stops, [*stops[1:], len(rest)], strict=True)]


def outcome(
    read: Callable[[bytes], Iterable[T]], pieces: Iterable[bytes]
) -> tuple[list[T], TunnelError | None]:
    """Feed the pieces; return what came out, and the error that ended it, if one did."""
    found: list[T] = []
    try:
        for piece in pieces:
            found.extend(read(piece))
    except TunnelError as error:
        return found, error
    return found, None


def same(read: Callable[[], Callable[[bytes], Iterable[T]]], data: bytes) -> list[T]:
    """Feed the bytes whole and in pieces to a new reader each; return what came out of both.

    Raises: what the reader refused with, and AssertionError when it saw where the pieces end.
    """
    whole, pieces = cut(data)
    found, error = outcome(read(), [whole])
    again, other = outcome(read(), pieces)
    assert found == again
    assert (error and error.code) == (other and other.code)
    if error is not None:
        raise error
    return found
