"""The few wire types of protocol buffers that Google's launch endorsement uses, read strictly. Pure.

protobuf.dev, "Encoding": a message is a sequence of `varint tag` and value. Known fields are read by number;
one that is not known is passed over, as the format demands of readers. Groups and 32-bit values do not occur
and are malformed. Nothing is kept that was not within the bytes given.
"""

from __future__ import annotations

from dataclasses import dataclass

from runtime.errors import MalformedError

MAX_FIELDS = 4096  # of one message; an endorsement has a few hundred measurements
_VARINT, _FIXED64, _BYTES = 0, 1, 2
_MAX_VARINT = 10  # bytes


@dataclass(frozen=True, slots=True)
class Field:
    """One field as it stands."""

    number: int
    value: int | bytes
    offset: int  # where it begins


def parse(data: bytes, what: str) -> tuple[Field, ...]:
    """Return the fields in order. Raises: MalformedError."""
    found: list[Field] = []
    offset = 0
    while offset < len(data):
        if len(found) == MAX_FIELDS:
            raise MalformedError(what, f"has more than {MAX_FIELDS} fields", offset=offset)
        start = offset
        tag, offset = _varint(data, offset, what)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise MalformedError(what, "has a field with the number 0", offset=start)
        value: int | bytes
        if kind == _VARINT:
            value, offset = _varint(data, offset, what)
        elif kind in {_FIXED64, _BYTES}:
            size, offset = (8, offset) if kind == _FIXED64 else _varint(data, offset, what)
            if size > len(data) - offset:
                raise MalformedError(what, f"field {number} needs {size} bytes", offset=start)
            value, offset = data[offset : offset + size], offset + size
        else:
            raise MalformedError(what, f"field {number} has the wire type {kind}", offset=start)
        found.append(Field(number, value, start))
    return tuple(found)


def _varint(data: bytes, offset: int, what: str) -> tuple[int, int]:
    value = 0
    for index in range(_MAX_VARINT):
        if offset + index >= len(data):
            raise MalformedError(what, "ends inside a number", offset=offset)
        byte = data[offset + index]
        value |= (byte & 0x7F) << 7 * index
        if not byte & 0x80:
            if value >> 64:
                break
            return value, offset + index + 1
    raise MalformedError(what, "has a number of more than 64 bits", offset=offset)


def one_bytes(fields: tuple[Field, ...], number: int, what: str) -> bytes | None:
    """Return the value of a field of bytes that may come once. Raises: MalformedError."""
    values = all_bytes(fields, number, what)
    if len(values) > 1:
        raise MalformedError(what, f"has field {number} twice")
    return values[0] if values else None


def all_bytes(fields: tuple[Field, ...], number: int, what: str) -> tuple[bytes, ...]:
    """Return the values of a repeated field of bytes. Raises: MalformedError."""
    found: list[bytes] = []
    for field in fields:
        if field.number == number:
            if not isinstance(field.value, bytes):
                raise MalformedError(what, f"field {number} holds no bytes", offset=field.offset)
            found.append(field.value)
    return tuple(found)


def one_number(fields: tuple[Field, ...], number: int, what: str) -> int:
    """Return the value of a number that may come once; 0 where it is absent. Raises: MalformedError."""
    values = [field for field in fields if field.number == number]
    if len(values) > 1:
        raise MalformedError(what, f"has field {number} twice", offset=values[1].offset)
    if not values:
        return 0
    value = values[0].value
    if not isinstance(value, int):
        raise MalformedError(what, f"field {number} holds no number", offset=values[0].offset)
    return value
