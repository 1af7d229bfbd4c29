"""What an owner and a member say to each other once both have confirmed (docs/protocol.md §15). Pure.

owner → member    status_ask
member → owner    status   part, parts, text: JSON in pieces, for one message holds at most 64 KiB
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

from runtime.documents import strict_json
from runtime.errors import MalformedError

MAX_TEXT = 32 * 1024  # characters, ASCII, of one part; with its escapes it stays under a message's bound
MAX_PARTS = 64  # 2 MiB: far more than a server with thousands of sessions has to say
WHAT = "owner message"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusAsk:
    """How are you."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusPart:
    """One piece of the answer, `part` of 0 to parts - 1."""

    part: int
    parts: int
    text: str


OwnerMessage = StatusAsk | StatusPart
_KINDS: dict[str, type[OwnerMessage]] = {"status_ask": StatusAsk, "status": StatusPart}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def encode(message: OwnerMessage) -> dict[str, Any]:
    """Return the JSON object."""
    return {"kind": _NAMES[type(message)], **asdict(message)}


def decode(value: dict[str, Any]) -> OwnerMessage:
    """Read the JSON object. Raises: MalformedError for anything not exactly as above."""
    kind = _KINDS.get(str(value.get("kind")))
    if kind is None:
        raise MalformedError(WHAT, "is of no known kind")
    fields = {name: field for name, field in value.items() if name != "kind"}
    if set(fields) != set(kind.__dataclass_fields__):
        raise MalformedError(WHAT, f"{_NAMES[kind]} has other fields than it should")
    if kind is StatusAsk:
        return StatusAsk()
    part, parts, text = fields["part"], fields["parts"], fields["text"]
    if type(part) is not int or type(parts) is not int or not 0 <= part < parts <= MAX_PARTS:
        raise MalformedError(WHAT, f"is no part of at most {MAX_PARTS}")
    if not isinstance(text, str) or len(text) > MAX_TEXT or not text.isascii():
        raise MalformedError(WHAT, f"text is not at most {MAX_TEXT} ASCII characters")
    return StatusPart(part=part, parts=parts, text=text)


def parts_of(status: Mapping[str, Any]) -> list[StatusPart]:
    """Cut a status into parts; one too long to be sent whole says so instead of being cut short."""
    text = json.dumps(status, separators=(",", ":"), default=str)
    if len(text) > MAX_TEXT * MAX_PARTS:
        text = json.dumps({"member": status.get("member"), "too_large": len(text)})
    count = -(-len(text) // MAX_TEXT)
    return [
        StatusPart(part=n, parts=count, text=text[n * MAX_TEXT : (n + 1) * MAX_TEXT]) for n in range(count)
    ]


class StatusText:
    """Puts the parts together again, in order."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def add(self, part: StatusPart) -> dict[str, Any] | None:
        """Return the status when this was the last part. Raises: MalformedError."""
        if part.part != len(self._texts):
            raise MalformedError(WHAT, f"is part {part.part} of a status, want {len(self._texts)}")
        self._texts.append(part.text)
        if part.part + 1 < part.parts:
            return None
        value = strict_json.parse("".join(self._texts).encode(), "status")
        if not isinstance(value, dict):
            raise MalformedError("status", "is not an object")
        return cast("dict[str, Any]", value)
