"""Fields and limits of attestation_process.md, sections 2.2 and 3.2.2: each broken once, with its place."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.attestation.tees.nitro import document
from runtime.attestation.tees.nitro.document import Document, Kind
from runtime.errors import MalformedError
from tests.fakes import nitro
from tests.fakes.nitro import Indefinite

KINDS: tuple[Kind, ...] = ("nitrotpm", "enclave")
REGISTERS = {index: bytes([index]) * 48 for index in range(16)}


def fields(kind: Kind = "nitrotpm", **changes: Any) -> dict[str, Any]:
    usual = {
        "module_id": "i-01-tpm00",
        "timestamp": 1_700_000_000_123,
        "digest": "SHA384",
        nitro.REGISTERS[kind]: REGISTERS,
        "certificate": b"leaf",
        "cabundle": [b"root", b"middle"],
    }
    return {name: value for name, value in (usual | changes).items() if value is not ...}


def parse(kind: Kind = "nitrotpm", **changes: Any) -> Document:
    return document.parse(nitro.cbor(fields(kind, **changes)), kind)


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_read(kind: Kind) -> None:
    found = parse(kind, public_key=b"k", user_data=b"", nonce=bytes(1024))
    assert (found.kind, found.module_id, found.timestamp_ms) == (kind, "i-01-tpm00", 1_700_000_000_123)
    assert (found.digest, found.pcrs) == ("SHA384", REGISTERS)
    assert (found.certificate, found.cabundle) == (b"leaf", (b"root", b"middle"))
    data = nitro.cbor(fields(kind))
    assert found.certificates_at == (data.index(b"\x82\x44root"), data.index(b"\x44leaf"))
    assert (found.public_key, found.user_data, found.nonce) == (b"k", b"", bytes(1024))


def test_null_is_absent() -> None:
    for found in (parse(), parse(public_key=None, user_data=None, nonce=None)):
        assert (found.public_key, found.user_data, found.nonce) == (None, None, None)


def test_the_map_may_have_an_indefinite_length() -> None:
    assert document.parse(nitro.cbor(Indefinite(fields())), "nitrotpm") == parse()


@pytest.mark.parametrize("kind", KINDS)
def test_the_other_kind_is_malformed(kind: Kind) -> None:
    other: Kind = "enclave" if kind == "nitrotpm" else "nitrotpm"
    with pytest.raises(MalformedError, match=f"has no {nitro.REGISTERS[kind]}$"):
        document.parse(nitro.cbor(fields(other)), kind)
    with pytest.raises(MalformedError, match="has the unknown field"):
        document.parse(nitro.cbor(fields(kind) | {nitro.REGISTERS[other]: REGISTERS}), kind)


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        *(
            ({name: ...}, f"has no {name}")
            for name in ("module_id", "timestamp", "digest", "nitrotpm_pcrs", "certificate", "cabundle")
        ),
        ({"digest": ..., "cabundle": ...}, "has no cabundle, digest"),
        ({"more": 1}, "has the unknown field 'more'"),
        ({"m" * 500: 1}, f"has the unknown field {'m' * 32!r}"),
        ({"module_id": ""}, "module_id is not 1 to 64 letters, digits and hyphens"),
        ({"module_id": "i" * 65}, "module_id is not 1 to 64 letters, digits and hyphens"),
        ({"module_id": "i-01\n"}, "module_id is not 1 to 64 letters, digits and hyphens"),
        ({"module_id": "i-01\u0661"}, "module_id is not 1 to 64 letters, digits and hyphens"),
        ({"module_id": b"i-01"}, "module_id is not a text string"),
        ({"module_id": None}, "module_id is not a text string"),
        ({"timestamp": 0}, "timestamp is 0, want 1 to 253402300799999"),
        ({"timestamp": 253402300800000}, "timestamp is 253402300800000, want 1 to 253402300799999"),
        ({"timestamp": -1}, "timestamp is not an unsigned integer"),
        ({"timestamp": "1"}, "timestamp is not an unsigned integer"),
        ({"digest": "SHA256"}, "digest is not SHA384"),
        ({"digest": b"SHA384"}, "digest is not a text string"),
        ({"nitrotpm_pcrs": []}, "nitrotpm_pcrs is not a map"),
        ({"nitrotpm_pcrs": {}}, "nitrotpm_pcrs is empty"),
        ({"nitrotpm_pcrs": {24: bytes(48)}}, "nitrotpm_pcrs has the index '24', want 0 to 23"),
        ({"nitrotpm_pcrs": {-1: bytes(48)}}, "nitrotpm_pcrs has the index '-1', want 0 to 23"),
        ({"nitrotpm_pcrs": {"0": bytes(48)}}, "nitrotpm_pcrs has the index '0', want 0 to 23"),
        ({"nitrotpm_pcrs": {4: bytes(32)}}, "nitrotpm_pcrs[4] is 32 bytes, want 48"),
        ({"nitrotpm_pcrs": {4: bytes(64)}}, "nitrotpm_pcrs[4] is 64 bytes, want 48"),
        ({"nitrotpm_pcrs": {4: "0" * 48}}, "nitrotpm_pcrs[4] is not a byte string"),
        ({"certificate": b""}, "certificate is 0 bytes, want 1 to 1024"),
        ({"certificate": bytes(1025)}, "certificate is 1025 bytes, want 1 to 1024"),
        ({"certificate": None}, "certificate is not a byte string"),
        ({"cabundle": []}, "cabundle has 0 certificates, want 1 to 8"),
        ({"cabundle": [b"c"] * 9}, "cabundle has 9 certificates, want 1 to 8"),
        ({"cabundle": b"c"}, "cabundle is not an array"),
        ({"cabundle": [b"c", b""]}, "cabundle[1] is 0 bytes, want 1 to 1024"),
        ({"cabundle": [bytes(1025)]}, "cabundle[0] is 1025 bytes, want 1 to 1024"),
        ({"public_key": b""}, "public_key is 0 bytes, want 1 to 1024"),
        ({"public_key": bytes(1025)}, "public_key is 1025 bytes, want 1 to 1024"),
        ({"user_data": bytes(1025)}, "user_data is 1025 bytes, want 0 to 1024"),
        ({"user_data": "text"}, "user_data is not a byte string"),
        ({"nonce": bytes(1025)}, "nonce is 1025 bytes, want 0 to 1024"),
        ({"nonce": 0}, "nonce is not a byte string"),
    ],
)
def test_malformed_names_the_field(changes: dict[str, Any], detail: str) -> None:
    with pytest.raises(MalformedError) as caught:
        parse(**changes)
    assert caught.value.detail == detail
    assert caught.value.offset is not None


def test_malformed_says_where() -> None:
    with pytest.raises(MalformedError) as caught:
        document.parse(nitro.cbor(fields(digest="MD5")), "nitrotpm", at=1000)
    data = nitro.cbor(fields(digest="MD5"))
    assert caught.value.offset == 1000 + data.index(nitro.cbor("MD5"))


def test_a_payload_that_is_no_map_and_a_key_that_is_no_text() -> None:
    with pytest.raises(MalformedError, match="payload is not a map"):
        document.parse(b"\x80", "nitrotpm")
    with pytest.raises(MalformedError, match="has the unknown field '1'"):
        document.parse(nitro.cbor({**fields(), 1: 1}), "nitrotpm")


@pytest.mark.parametrize(("kind", "end"), [("enclave", 32), ("nitrotpm", 24)])
def test_each_kind_has_its_own_last_register_and_its_first_millisecond(kind: Kind, end: int) -> None:
    name = "pcrs" if kind == "enclave" else "nitrotpm_pcrs"
    found = parse(kind, **{name: {end - 1: b"x" * 48}, "timestamp": 1})
    assert (found.pcrs, found.timestamp_ms) == ({end - 1: b"x" * 48}, 1)
    with pytest.raises(MalformedError, match=f"index '{end}', want 0 to {end - 1}"):
        parse(kind, **{name: {end: b"x" * 48}})


@pytest.mark.parametrize(
    ("kind", "registers", "unmeasured"),
    [
        ("enclave", {}, ()),
        ("enclave", {0: bytes(48), 1: bytes(48), 2: bytes(48)}, (0, 1, 2)),
        ("enclave", {1: bytes(48), 3: bytes(48)}, (1,)),
        ("enclave", {2: ...}, (2,)),
        ("nitrotpm", {4: bytes(48), 8: bytes(48), 12: bytes(48)}, (4,)),
        ("nitrotpm", {7: ...}, (7,)),
    ],
)
def test_registers_that_measured_nothing(
    kind: Kind, registers: dict[int, Any], unmeasured: tuple[int, ...]
) -> None:
    values = {index: value for index, value in (nitro.pcrs(16) | registers).items() if value is not ...}
    assert parse(kind, **{nitro.REGISTERS[kind]: values}).unmeasured == unmeasured


PAYLOAD = nitro.cbor(fields(user_data=b"u", nonce=b"n"))


@given(st.integers(0, len(PAYLOAD) * 8 - 1), st.sampled_from(KINDS))
def test_one_changed_bit_is_read_or_malformed(bit: int, kind: Kind) -> None:
    data = bytearray(PAYLOAD)
    data[bit // 8] ^= 1 << bit % 8
    try:
        document.parse(bytes(data), kind)
    except MalformedError:
        return
    assert kind == "nitrotpm"
