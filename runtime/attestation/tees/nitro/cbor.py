"""The part of CBOR (RFC 8949) that Nitro documents use, read one way only. Pure.

Every item keeps the byte at which it begins, so that whoever finds it wrong can say where. Lengths and
integers have their shortest form (section 4.2.1), strings and arrays a definite length, maps no key twice,
and nothing follows the item. What Nitro never sends is refused: floats, booleans, tags but one, simple
values but null, strings and arrays of indefinite length. One thing of indefinite length it does send: the
NitroTPM's map of fields, so maps may have it. Depth and number of items are capped before anything is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from runtime.errors import MalformedError

# Specification constants: RFC 8949, sections 3 and 3.2. The major types are plain numbers: an enumeration
# would cost as much as everything else here.
_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_NULL = 0xF6
_BREAK = b"\xff"
_INDEFINITE_MAP = 0xBF
_SIZES = {24: 1, 25: 2, 26: 4, 27: 8}  # additional information -> bytes of the argument

# Ours.
MAX_DEPTH = 4  # a document has an array in a map; its envelope an array in a tag
MAX_ITEMS = 128  # a document has about 80, keys and values: 24 registers, 9 fields, a few certificates
MAX_SHOWN = 32  # characters of a foreign key in an error


@dataclass(frozen=True, slots=True)
class Tagged:
    """An item under a tag."""

    tag: int
    item: Item


class Item(NamedTuple):
    """One value and the byte at which it begins. There are eighty: frozen dataclasses take twice as long."""

    offset: int
    value: int | bytes | str | tuple[Item, ...] | Mapping[int | str, Item] | Tagged | None


def decode(data: bytes, what: str, *, at: int = 0) -> Item:
    """Read exactly one item. `at` is where `data` lies in what was sent. Raises: MalformedError."""
    reader = _Reader(data, what, at)
    item = reader.item(MAX_DEPTH)
    if reader.offset != len(data):
        raise reader.malformed(f"has {len(data) - reader.offset} bytes behind its end", reader.offset)
    return item


class _Reader:
    def __init__(self, data: bytes, what: str, at: int) -> None:
        self.data, self.what, self.at = data, what, at
        self.offset = 0
        self.items = 0

    def malformed(self, detail: str, offset: int) -> MalformedError:
        return MalformedError(self.what, detail, offset=self.at + offset)

    def item(self, depth: int) -> Item:
        start = self.offset
        self.items += 1
        if self.items > MAX_ITEMS:
            raise self.malformed(f"has more than {MAX_ITEMS} items", start)
        if depth == 0:
            raise self.malformed(f"is nested deeper than {MAX_DEPTH} levels", start)
        return Item(self.at + start, self._value(start, depth))

    def _value(
        self, start: int, depth: int
    ) -> int | bytes | str | tuple[Item, ...] | Mapping[int | str, Item] | Tagged | None:
        if start == len(self.data):
            raise self.malformed("ends inside an item: 0 bytes left of 1", start)
        initial = self.data[start]
        self.offset = start + 1
        if initial == _NULL:
            return None
        if initial == _INDEFINITE_MAP:
            return self.mapping(None, depth)
        major, argument = initial >> 5, initial & 0x1F
        if major == _SIMPLE:
            raise self.malformed(f"has the simple value or float {initial:#04x}, want null at most", start)
        if argument >= 24:
            argument = self.argument(argument, start)
        if major == _BYTES:
            return self.take(argument, "a byte string")
        if major == _TEXT:
            return self.text(argument, start)
        if major in (_ARRAY, _MAP):
            return self.array(argument, depth) if major == _ARRAY else self.mapping(argument, depth)
        if major == _TAG:
            return Tagged(argument, self.item(depth - 1))
        return argument if major == _UNSIGNED else -1 - argument

    def take(self, size: int, what: str) -> bytes:
        end = self.offset + size
        if end > len(self.data):
            raise self.malformed(
                f"ends inside {what}: {len(self.data) - self.offset} bytes left of {size}", self.offset
            )
        start, self.offset = self.offset, end
        return self.data[start:end]

    def argument(self, additional: int, start: int) -> int:
        size = _SIZES.get(additional)
        if size is None:
            raise self.malformed(f"has a length of the form {additional}, want a definite one", start)
        value = int.from_bytes(self.take(size, "a length or integer"), "big")
        if value < (24 if size == 1 else 1 << (size * 4)):
            raise self.malformed(f"spells {value} in {size} bytes, want the shortest form", start)
        return value

    def text(self, size: int, start: int) -> str:
        try:
            return self.take(size, "a text string").decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.malformed("has a text string that is not UTF-8", start) from error

    def array(self, size: int, depth: int) -> tuple[Item, ...]:
        self._enough(size, "an array")
        return tuple(self.item(depth - 1) for _ in range(size))

    def mapping(self, size: int | None, depth: int) -> Mapping[int | str, Item]:
        if size is not None:
            self._enough(2 * size, "a map")
        out: dict[int | str, Item] = {}
        while not self._map_ended(size, len(out)):
            key = self.item(depth - 1)
            if not isinstance(key.value, int | str):
                raise self.malformed("has a map key that is no integer and no text", key.offset - self.at)
            if key.value in out:
                raise self.malformed(
                    f"has the map key {str(key.value)[:MAX_SHOWN]!r} twice", key.offset - self.at
                )
            out[key.value] = self.item(depth - 1)
        return out

    def _map_ended(self, size: int | None, count: int) -> bool:
        if size is not None:
            return count == size
        if self.data.startswith(_BREAK, self.offset):
            self.offset += 1
            return True
        return False

    def _enough(self, size: int, what: str) -> None:
        left = len(self.data) - self.offset  # every item takes a byte at least
        if size > left:
            raise self.malformed(f"ends inside {what}: {left} bytes left for {size} items", self.offset)


Simple = Literal["an unsigned integer", "a byte string", "a text string", "an array", "a map"]


def unsigned(item: Item, what: str, field: str) -> int:
    """Return an unsigned integer. Raises: MalformedError."""
    if not isinstance(item.value, int) or item.value < 0:
        raise _unlike(item, what, field, "an unsigned integer")
    return item.value


def byte_string(item: Item, what: str, field: str) -> bytes:
    """Return a byte string. Raises: MalformedError."""
    if not isinstance(item.value, bytes):
        raise _unlike(item, what, field, "a byte string")
    return item.value


def text_string(item: Item, what: str, field: str) -> str:
    """Return a text string. Raises: MalformedError."""
    if not isinstance(item.value, str):
        raise _unlike(item, what, field, "a text string")
    return item.value


def array(item: Item, what: str, field: str) -> tuple[Item, ...]:
    """Return the items of an array. Raises: MalformedError."""
    if not isinstance(item.value, tuple):
        raise _unlike(item, what, field, "an array")
    return item.value


def mapping(item: Item, what: str, field: str) -> Mapping[int | str, Item]:
    """Return a map. Raises: MalformedError."""
    if not isinstance(item.value, dict):
        raise _unlike(item, what, field, "a map")
    return item.value


def _unlike(item: Item, what: str, field: str, wanted: Simple) -> MalformedError:
    return MalformedError(what, f"{field} is not {wanted}", offset=item.offset)
