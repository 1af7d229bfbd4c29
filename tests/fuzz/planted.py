"""Parsers with a planted bug each: a hunt that finds none of them proves nothing. Hunted only by name."""

from __future__ import annotations

from hashlib import pbkdf2_hmac

from runtime.errors import MalformedError
from tests.fuzz.target import MAX_MEMORY, Target


def _leaks(data: bytes) -> None:
    if data[:2] != b"CT":
        message = "does not begin with CT"
        raise MalformedError("planted", message, offset=0)
    if data[2:3] == b"!":
        raise KeyError(data[3:4])  # the bug: not our error


def _slow(data: bytes) -> bytes:
    return pbkdf2_hmac("sha256", data, data, 400_000) if data[:2] == b"CT" else b""


def _hungry(data: bytes) -> int:
    return len(bytes(b"\1" * (4 * MAX_MEMORY))) if data[:2] == b"CT" else 0


def _offset(data: bytes) -> None:
    if data[:2] == b"CT":
        message = "points behind its input"
        raise MalformedError("planted", message, offset=len(data) + 1)


def _seeds() -> list[bytes]:
    return [b"CX?", b"CT"[:1]]


TARGETS = (
    Target(name="planted_error", read=_leaks, seeds=_seeds, max_size=16),
    Target(name="planted_slow", read=_slow, seeds=_seeds, max_size=16),
    Target(name="planted_memory", read=_hungry, seeds=_seeds, max_size=16),
    Target(name="planted_offset", read=_offset, seeds=_seeds, max_size=16),
)
