"""The join proof: every part of it counts, and a counter is used once."""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import MalformedError, PeerError
from runtime.limits import Limits
from runtime.tunnel.frames import FrameType, frame
from runtime.tunnel.join import (
    CounterLedger,
    Direction,
    Join,
    Terms,
    check_proof,
    decode_joined,
    encode_joined,
    join_proof,
)
from runtime.tunnel.routing import SessionId

GOOD: dict[str, Any] = {
    "direction": Direction.CLIENT_TO_SERVER,
    "session": bytes(16),
    "epoch": 1,
    "worker": 2,
    "counter": 3,
    "certificate_sha256": bytes(32),
    "finished": bytes(48),
    "terms": Terms(credit=65536, streams=7),
}


def test_the_proof_is_what_the_protocol_says() -> None:
    parts = [
        b"tunnel-data-join-v1",
        b"client-to-server",
        bytes(16),
        b"\0\0\0\1",
        b"\0\2",
        b"\0\0\0\3",
        bytes(32),
        bytes(48),
        b"\0\1\0\0\0\0\0\7",
    ]
    message = b"".join(struct.pack(">I", len(part)) + part for part in parts)
    assert join_proof(b"s" * 32, **GOOD) == hmac.new(b"s" * 32, message, hashlib.sha256).digest()


@pytest.mark.parametrize(
    "change",
    [
        {"direction": Direction.SERVER_TO_CLIENT},
        {"session": b"\1" * 16},
        {"epoch": 2},
        {"worker": 3},
        {"counter": 4},
        {"certificate_sha256": b"\1" * 32},
        {"finished": b"\1" + bytes(47)},
        {"finished": bytes(32)},
        {"terms": Terms(credit=65537, streams=7)},
        {"terms": Terms(credit=65536, streams=8)},
    ],
    ids=str,
)
def test_every_part_changes_the_proof(change: dict[str, Any]) -> None:
    good = join_proof(b"s" * 32, **GOOD)
    other = join_proof(b"s" * 32, **GOOD | change)
    check_proof(good, good)
    with pytest.raises(PeerError) as caught:
        check_proof(other, good)
    assert caught.value.code == "join_refused"
    with pytest.raises(PeerError):
        check_proof(join_proof(b"t" * 32, **GOOD), good)


@pytest.mark.parametrize(
    "change",
    [
        {"session": bytes(15)},
        {"certificate_sha256": bytes(31)},
        {"finished": b""},
        {"finished": bytes(65)},
        {"epoch": -1},
        {"epoch": 2**32},
        {"worker": 2**16},
        {"counter": 2**32},
    ],
    ids=str,
)
def test_values_of_the_wrong_size_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        join_proof(bytes(32), **GOOD | change)
    with pytest.raises(MalformedError):
        join_proof(bytes(31), **GOOD)


@given(
    st.binary(min_size=16, max_size=16),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**16 - 1),
    st.integers(16384, 2**31 - 1),
    st.integers(1, 2**32 - 1),
    st.binary(min_size=32, max_size=32),
)
def test_round_trip(
    session: bytes, number: int, worker: int, credit: int, streams: int, proof: bytes
) -> None:
    terms = Terms(credit=credit, streams=streams)
    join = Join(
        session=SessionId(session), epoch=number, worker=worker, counter=number, terms=terms, proof=proof
    )
    assert Join.decode(join.encode()) == join
    assert decode_joined(encode_joined(terms, proof)) == (terms, proof)


@pytest.mark.parametrize(("credit", "streams"), [(16383, 1), (0, 1), (2**31, 1), (65536, 0)])
def test_terms_that_nobody_could_keep_are_refused(credit: int, streams: int) -> None:
    with pytest.raises(MalformedError):
        Terms(credit=credit, streams=streams)
    with pytest.raises(MalformedError):
        Terms.decode(struct.pack(">II", credit, streams))


@given(st.binary(max_size=70), st.binary(min_size=8, max_size=8))
def test_anything_decodes_or_is_malformed(data: bytes, head: bytes) -> None:
    for decoder in (Join.decode, decode_joined):
        for sent in (data, head + bytes(66), head + bytes(40)):
            try:
                decoder(sent)
            except MalformedError:
                continue


def join(**changes: Any) -> Join:
    made = Join(
        session=SessionId(bytes(16)), epoch=1, worker=1, counter=1, terms=GOOD["terms"], proof=bytes(32)
    )
    return replace(made, **changes)


def test_the_first_frame_must_be_the_right_one() -> None:
    for sent in (
        frame(FrameType.PING, 0, bytes(66)),
        frame(FrameType.JOIN, 1, bytes(66)),
        b"\0\0\x43\1" + bytes(70),
    ):
        with pytest.raises(MalformedError):
            Join.decode(sent)
    with pytest.raises(MalformedError):
        join(session=SessionId(bytes(15))).encode()
    with pytest.raises(MalformedError):
        join(epoch=2**32).encode()
    with pytest.raises(MalformedError):
        encode_joined(GOOD["terms"], b"")


@given(
    st.lists(st.tuples(st.sampled_from([b"a", b"b"]), st.integers(0, 1), st.integers(0, 200)), max_size=100)
)
def test_a_counter_is_used_once(uses: list[tuple[bytes, int, int]]) -> None:
    ledger, used = CounterLedger(), set[tuple[bytes, int, int]]()
    highest: dict[tuple[bytes, int], int] = {}
    for use in uses:
        session, worker, counter = use
        top = highest.get((session, worker), -1)
        try:
            ledger.use(session, epoch=1, worker=worker, counter=counter)
        except PeerError:
            assert use in used or counter <= top - 64
        else:
            assert use not in used
            assert counter > top - 64
            used.add(use)
            highest[session, worker] = max(top, counter)


def test_epochs_and_forgetting() -> None:
    ledger = CounterLedger()
    ledger.use(b"a", epoch=1, worker=0, counter=5)
    ledger.use(b"a", epoch=2, worker=0, counter=5)
    with pytest.raises(PeerError):
        ledger.use(b"a", epoch=1, worker=0, counter=6)
    ledger.use(b"b", epoch=1, worker=0, counter=5)
    ledger.forget(b"a")
    with pytest.raises(PeerError):
        ledger.use(b"b", epoch=1, worker=0, counter=5)
    ledger.use(b"a", epoch=1, worker=0, counter=5)
    ledger.use(b"c", epoch=1, worker=0, counter=2**32 - 1)
    ledger.use(b"c", epoch=1, worker=0, counter=2**32 - 2)


def test_terms_are_our_own_limits() -> None:
    assert Terms.of(Limits(credit=65536, max_streams=7)) == Terms(credit=65536, streams=7)
