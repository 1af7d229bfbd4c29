"""A file of endorsements beside the fleet document, for members that cannot reach endorsers. Pure.

JSON: `{"kind": "tunnel-endorsements-v1", "made_at": time, "items": [{"key", "body"}]}`, bodies in base64, in
ascending order of keys. It needs no signature: every item is signed by its endorser, and is judged as if it
had just been fetched. It makes nothing last longer: an item past its own end is as good as missing.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime.attestation.endorsements.contents import MAX_BODY_SIZE
from runtime.documents import strict_json, times
from runtime.errors import DocumentError, MalformedError

KIND = "tunnel-endorsements-v1"
MAX_BUNDLE_SIZE = 8 * 1024 * 1024  # bytes; a member needs about 40 KiB
MAX_ITEMS = 1024
_WHAT = "endorsements bundle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Answers by the keys of what they were wanted for."""

    made_at: int  # Unix seconds, by the clock of who made it
    items: Mapping[str, bytes]


EMPTY = Bundle(made_at=0, items={})


def write(bundle: Bundle) -> bytes:
    """Return the file's bytes."""
    items = [
        {"key": key, "body": base64.b64encode(body).decode()} for key, body in sorted(bundle.items.items())
    ]
    value = {"kind": KIND, "made_at": times.show(bundle.made_at), "items": items}
    return strict_json.canonical(value) + b"\n"


def read(data: bytes) -> Bundle:
    """Read a file. Raises: MalformedError."""
    if len(data) > MAX_BUNDLE_SIZE:
        raise MalformedError(_WHAT, f"is {len(data)} bytes, want at most {MAX_BUNDLE_SIZE}")
    try:
        value = strict_json.parse(data, _WHAT, max_size=MAX_BUNDLE_SIZE)
        if set(value) != {"kind", "made_at", "items"} or value["kind"] != KIND:
            raise MalformedError(_WHAT, f'is no object of "kind": "{KIND}", made_at and items')
        made_at = times.parse(value["made_at"])
        entries: list[dict[str, Any]] = list(value["items"])
        if len(entries) > MAX_ITEMS:
            raise MalformedError(_WHAT, f"has {len(entries)} items, want at most {MAX_ITEMS}")
        items = dict(_item(entry) for entry in entries)
    except (DocumentError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise MalformedError(_WHAT, f"cannot be read: {error}") from error
    if len(items) != len(entries):
        raise MalformedError(_WHAT, "has a key twice")
    return Bundle(made_at=made_at, items=items)


def _item(entry: dict[str, Any]) -> tuple[str, bytes]:
    key, text = entry["key"], entry["body"]
    if set(entry) != {"key", "body"} or not isinstance(key, str) or not isinstance(text, str):
        raise MalformedError(_WHAT, "has an item that is not key and body")
    try:
        body = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as error:
        raise MalformedError(_WHAT, f"{key[:80]} is not base64") from error
    if not 0 < len(body) <= MAX_BODY_SIZE:
        raise MalformedError(_WHAT, f"{key[:80]} is {len(body)} bytes, want 1 to {MAX_BODY_SIZE}")
    return key, body
