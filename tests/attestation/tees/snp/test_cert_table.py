"""Both GUID orders are read; a table that points outside itself, or twice to one thing, is not."""

from __future__ import annotations

import struct
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.attestation.tees.snp import cert_table
from runtime.errors import MalformedError

VCEK = UUID("63da758d-e664-4564-adc5-f4b93be8accd")
ARK = UUID("c0b406a4-a803-4952-9743-3fb6014cd0ae")
UNKNOWN = UUID("11111111-2222-3333-4444-555555555555")


def table(*entries: tuple[bytes, bytes]) -> bytes:
    start = (len(entries) + 1) * 24
    head, body = b"", b""
    for guid, value in entries:
        head += struct.pack("<16sII", guid, start + len(body), len(value))
        body += value
    return head + bytes(24) + body


@pytest.mark.parametrize("order", ["bytes", "bytes_le"])
def test_both_orders_of_a_guid(order: str) -> None:
    data = table((getattr(VCEK, order), b"leaf"), (UNKNOWN.bytes, b"?"), (getattr(ARK, order), b"root"))
    assert cert_table.parse(data) == {"vcek": b"leaf", "ark": b"root"}


def test_an_empty_table_has_nothing() -> None:
    assert cert_table.parse(bytes(24)) == {}


def test_an_entry_without_a_name_is_not_the_end() -> None:
    nameless = struct.pack("<16sII", bytes(16), 0, 4)
    leaf = struct.pack("<16sII", VCEK.bytes, 72, 4)
    assert cert_table.parse(nameless + leaf + bytes(24) + b"leaf") == {"vcek": b"leaf"}


def test_as_many_entries_as_may_be() -> None:
    strangers = [(bytes([index + 1]) * 16, b"x") for index in range(31)]
    assert cert_table.parse(table(*strangers, (VCEK.bytes, b"leaf"))) == {"vcek": b"leaf"}
    assert cert_table.MAX_ENTRIES == 32


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(23),
        table((VCEK.bytes, b"leaf"))[:-1],
        table((VCEK.bytes, b"leaf"))[:24],
        table((VCEK.bytes, b"")),
        table((VCEK.bytes, b"a"), (VCEK.bytes_le, b"b")),
        struct.pack("<16sII", VCEK.bytes, 0xFFFFFFFF, 0xFFFFFFFF) + bytes(24),
        struct.pack("<16sII", UNKNOWN.bytes, 0, 99999) + bytes(24),
        table(*((bytes([index + 1]) * 16, b"x") for index in range(33))),
        struct.pack("<16sII", VCEK.bytes, 0, 0) + bytes(24),
        struct.pack("<16sII", bytes(16), 5, 0) + bytes(24),
    ],
)
def test_broken_tables_are_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        cert_table.parse(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_malformed(data: bytes) -> None:
    for candidate in (data, VCEK.bytes + data, data + bytes(48)):
        try:
            cert_table.parse(candidate)
        except MalformedError:
            continue
