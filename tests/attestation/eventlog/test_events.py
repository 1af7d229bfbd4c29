"""Every length of a log is checked before it is believed, in both formats."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.attestation.eventlog import events
from runtime.attestation.eventlog.events import SHA1, SHA256, SHA384, SM3_256, EventType
from runtime.errors import MalformedError
from tests.fakes.event_log import BOTH, log, record, sha1_record, spec_id

ONE = record(1, 4, bytes(4))
GOOD = log(ONE)
HEADER = len(log())


def parse(data: bytes, *, padded: bool = False) -> events.EventLog:
    return events.parse(data, "log", padded=padded)


def test_records_of_several_banks() -> None:
    data = log(record(1, 4, b"data", banks=BOTH), record(2, 3, b"", banks=BOTH), banks=BOTH)
    found = parse(data)
    assert found.spec_id is not None
    assert dict(found.spec_id.banks) == {SHA256: 32, SHA384: 48}
    assert (found.spec_id.version, found.spec_id.platform_class, found.spec_id.uintn_size) == (
        (2, 0, 0),
        0,
        2,
    )
    assert found.size == len(data)
    first, second, third = found.events
    assert (first.type, first.offset) == (EventType.EV_NO_ACTION, 0)
    assert (second.register, second.type, second.data, second.offset) == (1, 4, b"data", len(log(banks=BOTH)))
    assert second.digests[SHA384] == events.hash_of(SHA384, b"data")
    assert (second.extends, third.extends) == (True, False)


def test_vendor_information_is_kept() -> None:
    found = parse(log(spec=spec_id(vendor=b"td-shim")))
    assert found.spec_id is not None
    assert found.spec_id.vendor == b"td-shim"


@pytest.mark.parametrize("fill", [b"\xff" * 100, bytes(100), b"\xff", bytes(3), b""])
def test_fill_behind_the_last_event(fill: bytes) -> None:
    found = parse(GOOD + fill, padded=True)
    assert (len(found.events), found.size) == (2, len(GOOD))
    if fill:
        with pytest.raises(MalformedError):
            parse(GOOD + fill)


@pytest.mark.parametrize(
    "fill",
    [b"\xff" * 40 + b"x", bytes(40) + b"x" + bytes(40), b"\xff\xff\xff\xff" + bytes(9), bytes(12) + b"x"],
)
def test_something_behind_the_fill(fill: bytes) -> None:
    with pytest.raises(MalformedError, match="behind the last event") as caught:
        parse(GOOD + fill, padded=True)
    assert caught.value.offset == len(GOOD)


def put(data: bytes, offset: int, value: bytes) -> bytes:
    return data[:offset] + value + data[offset + len(value) :]


@pytest.mark.parametrize(
    ("data", "offset", "words"),
    [
        (bytes(events.MAX_LOG_SIZE + 1), None, "at most"),
        (b"", 0, "pcrIndex needs 4 bytes, 0 are left"),
        (put(GOOD, 4, b"\4"), 4, "eventType of the first event is 0x4"),
        (put(GOOD, 8, b"\1"), 8, "not zero"),
        (put(GOOD, 32, b"s"), 32, "Spec ID Event03"),
        (log(spec=spec_id(count=0)), 56, "numberOfAlgorithms is 0"),
        (log(spec=spec_id(count=9)), 56, "numberOfAlgorithms is 9"),
        (log(spec=spec_id(banks=((SHA384, 32),))), 60, "0x000c with 32 bytes"),
        (log(spec=spec_id(banks=((SHA384, 48), (SHA384, 48)))), 64, "or there twice"),
        (log(spec=spec_id(banks=((0x99, 65),))), 60, "0x0099 with 65 bytes"),
        (log(spec=spec_id(banks=((0x99, 0),))), 60, "0x0099 with 0 bytes"),
        (log(spec=spec_id(vendor_size=9)), 65, "vendorInfo needs 9 bytes"),
        (log(spec=spec_id() + b"x"), 65, "bytes behind vendorInfo"),
        (log(spec=spec_id()[:10]), 32, "signature needs 16"),
        (put(GOOD, HEADER + 8, b"\2"), HEADER + 8, "digests.count is 2, want 1"),
        (put(GOOD, HEADER + 12, b"\x0b"), HEADER + 12, "hashAlg is 0x000b"),
        (GOOD[:-5], len(GOOD) - 8, "eventSize needs 4 bytes"),
        (GOOD[:-1], len(GOOD) - 4, "event needs 4 bytes, 3 are left"),
        (put(GOOD, len(GOOD) - 8, b"\1\0\1\0"), len(GOOD) - 8, "eventSize is 65537"),
        (log(*[ONE] * events.MAX_EVENTS), None, "more than 2048 events"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_refusals_name_the_field_and_the_place(data: bytes, offset: int | None, words: str) -> None:
    with pytest.raises(MalformedError, match=words) as caught:
        parse(data)
    assert offset is None or caught.value.offset == offset


def test_what_is_as_large_as_may_be() -> None:
    largest = record(1, 4, bytes(64 * 1024))
    data = log(*[largest] * 15)
    found = parse(data + bytes(1024 * 1024 - len(data)), padded=True)
    assert (len(found.events), len(found.events[-1].data)) == (16, 65536)
    with pytest.raises(MalformedError, match="is 1048577 bytes, want at most 1048576"):
        parse(data + bytes(1024 * 1024 - len(data) + 1), padded=True)


# TCG PFP 1.06, table 27
TYPES = {
    0x0: "EV_PREBOOT_CERT",
    0x1: "EV_POST_CODE",
    0x3: "EV_NO_ACTION",
    0x4: "EV_SEPARATOR",
    0x5: "EV_ACTION",
    0x6: "EV_EVENT_TAG",
    0x7: "EV_S_CRTM_CONTENTS",
    0x8: "EV_S_CRTM_VERSION",
    0xA: "EV_PLATFORM_CONFIG_FLAGS",
    0xB: "EV_TABLE_OF_DEVICES",
    0xC: "EV_COMPACT_HASH",
    0xD: "EV_IPL",
    0x11: "EV_NONHOST_INFO",
    0x80000001: "EV_EFI_VARIABLE_DRIVER_CONFIG",
    0x80000002: "EV_EFI_VARIABLE_BOOT",
    0x80000003: "EV_EFI_BOOT_SERVICES_APPLICATION",
    0x80000004: "EV_EFI_BOOT_SERVICES_DRIVER",
    0x80000005: "EV_EFI_RUNTIME_SERVICES_DRIVER",
    0x80000006: "EV_EFI_GPT_EVENT",
    0x80000007: "EV_EFI_ACTION",
    0x80000008: "EV_EFI_PLATFORM_FIRMWARE_BLOB",
    0x80000009: "EV_EFI_HANDOFF_TABLES",
    0x8000000A: "EV_EFI_PLATFORM_FIRMWARE_BLOB2",
    0x8000000B: "EV_EFI_HANDOFF_TABLES2",
    0x8000000C: "EV_EFI_VARIABLE_BOOT2",
    0x800000E0: "EV_EFI_VARIABLE_AUTHORITY",
}


def test_types_and_algorithms_have_the_standards_numbers() -> None:
    assert {entry.value: entry.name for entry in EventType} == TYPES
    # TPM 2.0 Part 2, table 9, and the hashes' own sizes
    assert dict(events.DIGEST_BYTES) == {0x4: 20, 0xB: 32, 0xC: 48, 0xD: 64, 0x12: 32}


def test_a_digest_twice() -> None:
    twice = record(1, 4, b"", banks=(SHA384, SHA384))
    with pytest.raises(MalformedError, match="each of the Spec ID event once"):
        parse(log(twice, banks=BOTH))


def test_an_unknown_algorithm_has_the_size_that_the_log_declares() -> None:
    unknown = struct.pack("<IIIH", 1, 4, 1, 0x99) + bytes(10) + struct.pack("<I", 0)
    found = parse(log(unknown, spec=spec_id(banks=((0x99, 10),))))
    assert found.events[1].digests == {0x99: bytes(10)}


@pytest.mark.parametrize("size", [1, 64])
def test_a_digest_has_1_to_64_bytes(size: int) -> None:
    unknown = struct.pack("<IIIH", 1, 4, 1, 0x99) + bytes(size) + struct.pack("<I", 0)
    found = parse(log(unknown, spec=spec_id(banks=((0x99, size),))))
    assert found.events[1].digests == {0x99: bytes(size)}


def test_the_old_format() -> None:
    data = sha1_record(0, 8, b"version") + sha1_record(4, 3, b"")
    found = events.parse_sha1(data, "log")
    assert found.spec_id is None
    assert [event.register for event in found.events] == [0, 4]
    assert found.events[0].digests[SHA1] == events.hash_of(SHA1, b"version")
    with pytest.raises(MalformedError, match="event needs 7 bytes"):
        events.parse_sha1(sha1_record(0, 8, b"version")[:-1], "log")
    with pytest.raises(MalformedError, match="eventSize needs 4 bytes, 0 are left"):
        events.parse_sha1(data + bytes(28), "log")  # no fill, if it were padded
    assert not events.is_crypto_agile(data)
    assert events.is_crypto_agile(GOOD)


def test_replay_is_a_chain_of_hashes() -> None:
    found = parse(log(record(1, 4, b"a"), record(2, 4, b"b"), record(1, 3, b"c"), record(1, 5, b"d")))
    first = events.extend(SHA384, bytes(48), events.hash_of(SHA384, b"a"))
    assert events.replay(found.events, SHA384, {}) == {
        1: events.extend(SHA384, first, events.hash_of(SHA384, b"d")),
        2: events.extend(SHA384, bytes(48), events.hash_of(SHA384, b"b")),
    }
    started = events.replay(found.events, SHA384, {2: b"s" * 48, 9: b"t" * 48})
    assert started[2] == events.extend(SHA384, b"s" * 48, events.hash_of(SHA384, b"b"))
    assert started[9] == b"t" * 48
    with pytest.raises(KeyError):
        events.hash_of(SM3_256, b"")


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255))))
def test_any_bytes_are_read_or_refused(change: bytes | tuple[int, int]) -> None:
    data = change
    if isinstance(data, tuple):
        data = put(GOOD, data[0], bytes([data[1]]))
    for padded in (False, True):
        with contextlib.suppress(MalformedError):
            parse(data, padded=padded)
    with contextlib.suppress(MalformedError):
        events.parse_sha1(data, "log")
