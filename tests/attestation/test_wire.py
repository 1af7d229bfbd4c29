"""Evidence has one spelling, and every item its bounds."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.attestation import wire
from runtime.attestation.formats import FORMATS
from runtime.attestation.wire import Evidence
from runtime.errors import MalformedError, UnsupportedFormatError

SMALL = Evidence(format="sev-snp", parts={"snp_report": b"R"}, endorsements={"vek": b"VV", "crl": b"C"})
WIRE = (
    b"CTE1\x07sev-snp\x01\x0asnp_report\x00\x00\x00\x01R"
    b"\x02\x03crl\x00\x00\x00\x01C\x02\x03vek\x00\x00\x00\x02VV"
)


def test_wire_form_is_the_written_one() -> None:
    assert wire.encode(SMALL) == WIRE
    assert wire.decode(WIRE) == SMALL


@given(
    st.binary(min_size=1, max_size=200),
    st.dictionaries(
        st.sampled_from(["vek", "intermediate", "root", "crl", "cert_table"]),
        st.binary(min_size=1, max_size=99),
    ),
)
def test_round_trip(report: bytes, endorsements: dict[str, bytes]) -> None:
    evidence = Evidence(format="sev-snp", parts={"snp_report": report}, endorsements=endorsements)
    assert wire.decode(wire.encode(evidence)) == evidence
    assert pickle.loads(pickle.dumps(evidence)) == evidence  # noqa: S301 - our own object


@pytest.mark.parametrize(
    "data",
    [
        *(WIRE[:size] for size in range(len(WIRE)) if WIRE[:size] not in {WIRE[:29], WIRE[:39]}),
        WIRE + b"\0",
        WIRE.replace(b"CTE1", b"CTE2"),
        WIRE.replace(b"\x07sev-snp", b"\x07sev-tdx"),
        WIRE.replace(b"\x07sev-snp", b"\x07sev-\xffnp"),
        WIRE.replace(b"\x07sev-snp", b"\x00"),
        WIRE.replace(b"vek", b"vex"),
        WIRE.replace(b"\x02\x03vek", b"\x03\x03vek"),
        WIRE.replace(b"\x01\x0asnp_report\x00\x00\x00\x01R", b""),
        WIRE + b"\x02\x03vek\x00\x00\x00\x01V",
        WIRE.replace(b"\x02\x03crl\x00\x00\x00\x01C", b"") + b"\x02\x03crl\x00\x00\x00\x01C",
        WIRE.replace(b"\x00\x00\x00\x02VV", b"\x00\x00\x00\x00"),
        WIRE.replace(b"\x00\x00\x00\x02VV", b"\xff\xff\xff\xffVV"),
        WIRE.replace(b"\x02\x03crl", b"\x01\x03crl"),
        WIRE + b"\x02\x04vek2\x00\x04\x00\x00" + bytes(wire.MAX_EVIDENCE_SIZE),
        WIRE.replace(b"\x00\x00\x00\x01R", b"\x00\x00\x04\xa1" + bytes(1185)),
    ],
)
def test_other_spellings_are_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        wire.decode(data)


PLACES = [
    (WIRE.replace(b"\x07sev-snp", b"\x00"), "name that is empty", 4),
    (WIRE.replace(b"\x02\x03vek", b"\x02\x03vex"), "the unknown endorsement 'vex'", None),
    (WIRE.replace(b"\x01\x0asnp_report", b"\x01\x0asnp_repork"), "the unknown part 'snp_repork'", None),
    (WIRE.replace(b"CTE1", b"CTE2"), "CTE1", 0),
]


@pytest.mark.parametrize(("data", "words", "offset"), PLACES)
def test_what_is_malformed_is_named_with_its_place(data: bytes, words: str, offset: int | None) -> None:
    with pytest.raises(MalformedError, match=words) as caught:
        wire.decode(data)
    assert caught.value.offset == offset


@given(st.one_of(st.binary(max_size=300), st.binary(max_size=60).map(lambda tail: WIRE[:12] + tail)))
def test_any_bytes_are_read_or_malformed(data: bytes) -> None:
    try:
        evidence = wire.decode(data)
    except MalformedError:
        return
    assert wire.encode(evidence) == data


@pytest.mark.parametrize(
    "evidence",
    [
        Evidence(format="sgx", parts={"snp_report": b"R"}, endorsements={}),
        Evidence(format="sev-snp", parts={}, endorsements={}),
        Evidence(format="sev-snp", parts={"snp_report": b""}, endorsements={}),
        Evidence(format="sev-snp", parts={"snp_report": b"R"}, endorsements={"password": b"x"}),
        Evidence(format="sev-snp", parts={"snp_report": bytes(wire.MAX_EVIDENCE_SIZE)}, endorsements={}),
    ],
)
def test_what_cannot_be_said_is_not_encoded(evidence: Evidence) -> None:
    with pytest.raises(MalformedError):
        wire.encode(evidence)


def test_a_format_that_nobody_here_knows_is_told_apart_and_pickles() -> None:
    with pytest.raises(UnsupportedFormatError) as caught:
        wire.decode(b"CTE1\x06future")
    assert (caught.value.exit_status, caught.value.code) == (20, "malformed")
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own bytes
    assert (type(again), str(again)) == (UnsupportedFormatError, str(caught.value))


def test_items_that_are_each_in_bounds_may_be_too_much_together() -> None:
    known = FORMATS["gcp-tdx"]
    full = Evidence(
        format="gcp-tdx",
        parts={name: bytes(size) for name, size in known.parts.items()},
        endorsements={name: bytes(size) for name, size in known.endorsements.items()},
    )
    with pytest.raises(MalformedError, match="want at most 262144"):
        wire.encode(full)
    # One byte less than too much is a message.
    fixed = {"td_quote": bytes(32 * 1024), "ccel": bytes(128 * 1024)}
    rest = {name: b"R" for name in known.parts if name not in fixed}
    empty = Evidence(format="gcp-tdx", parts=fixed | rest, endorsements={"event_log": b"L"})
    left = wire.MAX_EVIDENCE_SIZE - len(wire.encode(empty)) + 1
    largest = replace(empty, endorsements={"event_log": bytes(left)})
    data = wire.encode(largest)
    assert (len(data), wire.decode(data)) == (262144, largest)
    with pytest.raises(MalformedError, match="is 262145 bytes, want at most 262144"):
        wire.encode(replace(empty, endorsements={"event_log": bytes(left + 1)}))
    with pytest.raises(MalformedError, match="is 262145 bytes, want at most 262144"):
        wire.decode(data + b"\0")
