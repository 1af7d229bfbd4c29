"""Claims come into being only for what a Nitro hypervisor signed."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.attestation.findings import EvidenceRefusedError, Reason
from runtime.attestation.tees.nitro import HARDWARE_ROOTS, Kind, NitroClaims, chain, cose
from runtime.attestation.tees.nitro import document as document_stage
from runtime.attestation.tees.nitro import verify as stage
from runtime.errors import MalformedError
from tests.fakes import nitro
from tests.fakes.nitro import HOUR, MODULE_IDS, NOW, REGISTERS, FakeNitro, Tag

FAKE = FakeNitro.create()
LEAVES: Mapping[Kind, nitro.Issued] = {"nitrotpm": FAKE.leaf("nitrotpm"), "enclave": FAKE.leaf("enclave")}
KINDS: tuple[Kind, ...] = ("nitrotpm", "enclave")


def document(kind: Kind = "nitrotpm", **changes: Any) -> bytes:
    return FAKE.document(kind, LEAVES[kind], **changes)


def verify(data: bytes, **changes: Any) -> NitroClaims:
    usual: dict[str, Any] = {"kind": "nitrotpm", "roots": FAKE.roots(), "now": NOW}
    return stage.authenticate(data, **(usual | changes))


def refused(data: bytes, **changes: Any) -> dict[str, Reason]:
    with pytest.raises(EvidenceRefusedError) as caught:
        verify(data, **changes)
    return {check.id: check.reason for check in caught.value.checks}


@pytest.mark.parametrize("kind", KINDS)
def test_a_genuine_document_makes_claims(kind: Kind) -> None:
    claims = verify(document(kind, nonce=b"n", public_key=b"k"), kind=kind)
    assert (claims.kind, claims.module_id, claims.region) == (kind, MODULE_IDS[kind], nitro.REGION)
    assert (claims.user_data, claims.nonce, claims.public_key) == (b"u" * 64, b"n", b"k")
    assert claims.pcrs[0] == b"\1" * 48
    assert (claims.root.kind, claims.revocation_checked) == ("test", frozenset())
    assert claims.timestamp_ms == NOW * 1000 - 500
    assert claims.endorsed_until == NOW + 2 * HOUR + 1  # the leaf ends first
    assert claims.newest_endorsement == NOW - 1  # the document is the newest


@pytest.mark.parametrize("kind", KINDS)
def test_age_is_not_judged_here(kind: Kind) -> None:
    old = verify(document(kind, timestamp=(NOW - HOUR) * 1000), kind=kind)
    assert old.newest_endorsement == NOW - HOUR


def test_the_envelope_may_be_tagged() -> None:
    assert verify(nitro.cbor(Tag(18, nitro.Raw(GOOD)))) == verify(GOOD)


def test_revocation_lists_are_used_and_bound_the_claims() -> None:
    lists = tuple(
        nitro.crl(issued, next_update=NOW + 60 + index) for index, issued in enumerate(FAKE.authorities)
    )
    claims = verify(document(), crls=lists)
    assert claims.revocation_checked == {"intermediate1", "intermediate2", "intermediate3", "leaf"}
    assert claims.endorsed_until == NOW + 60
    stale = nitro.crl(FAKE.authorities[0], next_update=NOW)
    assert refused(document(), crls=(stale,)) == {"revocation.dates.0": Reason.REVOCATION_UNKNOWN}
    verify(document(), crls=lists * 2)  # eight: one per authority of the longest path
    with pytest.raises(MalformedError, match="revocation lists: are 9, want at most 8"):
        verify(document(), crls=(stale,) * 9)
    with pytest.raises(MalformedError, match="revocation list: cannot be read"):
        verify(document(), crls=(b"no list",))


# What is not true: one check each


def test_another_root() -> None:
    assert refused(document(), roots=HARDWARE_ROOTS) == {"chain.root": Reason.CHAIN}


def test_another_key_signed() -> None:
    data = nitro.sign(nitro.cbor(FAKE.fields("nitrotpm", LEAVES["nitrotpm"])), FAKE.leaf().key)
    assert refused(data) == {"document.signature": Reason.SIGNATURE}


def test_a_leaf_without_an_elliptic_key_signed_nothing() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    leaf = FAKE.leaf(public_key=key.public_key())
    assert refused(FAKE.document("nitrotpm", leaf)) == {
        "chain.authority.leaf": Reason.CHAIN,
        "document.signature": Reason.SIGNATURE,
    }


@pytest.mark.parametrize(
    "name",
    [
        f"{MODULE_IDS['enclave']}.{nitro.REGION}.aws",
        f"{MODULE_IDS['nitrotpm']}0.{nitro.REGION}.aws",
        f"{MODULE_IDS['nitrotpm']}.{nitro.REGION}",
        f"{MODULE_IDS['nitrotpm']}.{nitro.REGION}.aws.aws",
        f"{MODULE_IDS['nitrotpm']}.nowhere.aws",
        f"{nitro.REGION}.aws",
    ],
)
def test_the_leaf_is_of_another_module(name: str) -> None:
    data = FAKE.document("nitrotpm", FAKE.leaf(common_name=name))
    assert refused(data) == {"leaf.name": Reason.INSTANCE}


def test_a_document_older_than_its_leaf() -> None:
    for seconds in (NOW - HOUR, NOW + 2 * HOUR):
        verify(document(timestamp=seconds * 1000))
    for moment in ((NOW - HOUR) * 1000 - 1, (NOW + 2 * HOUR + 1) * 1000):
        assert refused(document(timestamp=moment)) == {"document.timestamp.leaf": Reason.EXPIRED}


@pytest.mark.parametrize(("kind", "reason"), [("enclave", Reason.DEBUG), ("nitrotpm", Reason.MEASUREMENT)])
def test_nothing_was_measured(kind: Kind, reason: Reason) -> None:
    registers = nitro.pcrs(16) | {1: bytes(48)}
    data = document(kind, **{REGISTERS[kind]: registers})
    with pytest.raises(EvidenceRefusedError) as caught:
        verify(data, kind=kind)
    (check,) = caught.value.checks
    assert (check.id, check.reason, check.actual) == ("document.measured", reason, "zeros in 1")


def test_all_that_is_wrong_is_told() -> None:
    data = bytearray(document())
    data[-1] ^= 1
    found = refused(bytes(data), now=NOW + 3 * HOUR, roots=())
    assert set(found) == {"chain.root", "chain.dates.leaf", "document.signature"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_other_kind_is_malformed(kind: Kind) -> None:
    other: Kind = "enclave" if kind == "nitrotpm" else "nitrotpm"
    with pytest.raises(MalformedError, match=f"has no {REGISTERS[kind]}"):
        verify(document(other), kind=kind)


def test_without_a_root_there_are_no_claims() -> None:
    """What settle() has excluded before is excluded again, where claims are made."""
    authorities = tuple(issued.der for issued in FAKE.authorities)
    read = stage._Read(
        document=document_stage.parse(nitro.cbor(FAKE.fields()), "nitrotpm"),
        chain=chain.load(authorities, LEAVES["nitrotpm"].der, at=(0, 0)),
        root=None,
        region="",
        revocation_checked=frozenset(),
        lists_until=(),
    )
    with pytest.raises(MalformedError, match="has no pinned root"):
        stage._claims(read)


# Bad input


@pytest.mark.parametrize("field", ["certificate", "cabundle"])
def test_a_certificate_that_is_none_has_its_place(field: str) -> None:
    changes: dict[str, Any] = {field: b"none" if field == "certificate" else [b"none"]}
    data = document(**changes)
    with pytest.raises(MalformedError) as caught:
        verify(data)
    start = data.index(nitro.cbor(field)) + len(nitro.cbor(field))
    assert caught.value.offset == start


GOOD = document()
PAYLOAD = cose.parse(GOOD)


def outcome(data: bytes) -> NitroClaims | None:
    try:
        return verify(data)
    except (EvidenceRefusedError, MalformedError):
        return None


@given(st.integers(0, len(GOOD) * 8 - 1))
@settings(max_examples=200, deadline=None)
def test_no_bit_can_be_changed(bit: int) -> None:
    data = bytearray(GOOD)
    data[bit // 8] ^= 1 << bit % 8
    assert outcome(bytes(data)) is None


@given(st.integers(0, len(GOOD) - 1))
@settings(max_examples=50, deadline=None)
def test_truncated_is_malformed(size: int) -> None:
    with pytest.raises(MalformedError):
        verify(GOOD[:size])


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_refused(data: bytes) -> None:
    assert outcome(data) is None


@given(st.lists(st.tuples(st.integers(0, len(PAYLOAD.payload) - 1), st.integers(0, 255)), max_size=4))
@settings(max_examples=150, deadline=None)
def test_signed_nonsense_is_refused_or_read(changes: list[tuple[int, int]]) -> None:
    payload = bytearray(PAYLOAD.payload)
    for index, value in changes:
        payload[index] = value
    outcome(nitro.sign(bytes(payload), LEAVES["nitrotpm"].key))


def test_the_dearest_document_is_cheap() -> None:
    """The longest path of the largest certificates: under 50 ms of CPU and 16 MiB."""
    authorities = list(FAKE.authorities)
    while len(authorities) < 8:
        authorities.append(nitro.issue("a" * 64, authorities[-1], nitro.Shape(path_length=9)))
    deep = FakeNitro(tuple(authorities))
    data = deep.document(nonce=bytes(1024), public_key=bytes(1024), user_data=bytes(1024))
    chain._load.cache_clear()
    chain._signed_by.cache_clear()
    tracemalloc.start()
    try:
        outcome(data)
        assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    finally:
        tracemalloc.stop()
    chain._load.cache_clear()
    chain._signed_by.cache_clear()
    start = time.process_time()
    outcome(data)
    assert time.process_time() - start < 0.05


def test_what_is_remembered_is_a_function_of_bytes() -> None:
    assert verify(GOOD) == verify(GOOD)
    assert refused(GOOD, roots=()) == {"chain.root": Reason.CHAIN}
    assert refused(GOOD, now=NOW + 48 * HOUR).keys() >= {"chain.dates.root", "chain.dates.intermediate1"}
    assert isinstance(verify(GOOD).pcrs, MappingProxyType)
