"""The CBOR reader: accepts, or says where it stops; and reads nothing in two spellings."""

from __future__ import annotations

from typing import Any

from runtime.attestation.tees.nitro import cbor
from runtime.attestation.tees.nitro.cbor import Item, Tagged
from runtime.errors import MalformedError
from tests.fakes import nitro

_INDEFINITE_MAP = 0xBF


def fuzz_one(data: bytes) -> None:
    """Read `data`; write what was read, and compare."""
    try:
        found = cbor.decode(data, "fuzz")
    except MalformedError as error:
        assert error.offset is not None
        assert 0 <= error.offset <= len(data)
        return
    if _INDEFINITE_MAP not in data:
        assert nitro.cbor(_plain(found)) == data


def _plain(item: Item) -> Any:
    match item.value:
        case tuple() as items:
            return [_plain(each) for each in items]
        case dict() as pairs:
            return {key: _plain(each) for key, each in pairs.items()}
        case Tagged() as tagged:
            return nitro.Tag(tagged.tag, _plain(tagged.item))
        case value:
            return value


def seeds() -> list[bytes]:
    """Return inputs to begin with."""
    fields = nitro.FakeNitro.create().fields(certificate=b"leaf", cabundle=[b"root"])
    return [
        nitro.cbor(fields),
        nitro.cbor(dict(fields)),
        nitro.cbor({1: -35}),
        nitro.cbor(nitro.Tag(18, [None])),
    ]
