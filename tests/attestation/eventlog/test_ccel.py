"""What quoted registers prove of a CC event log: digests in order, and data only where it is hashed."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.attestation.eventlog import ccel
from runtime.attestation.eventlog.events import SHA256, EventType
from runtime.attestation.findings import EvidenceRefusedError
from runtime.errors import MalformedError
from tests.fakes.event_log import log, record

UKI = b"u" * 48
APPLICATION = EventType.EV_EFI_BOOT_SERVICES_APPLICATION
EVENTS = (
    record(1, EventType.EV_EFI_VARIABLE_DRIVER_CONFIG, b"SecureBoot=0"),
    record(2, APPLICATION, b"a device path", digest=UKI),
    record(2, EventType.EV_SEPARATOR, bytes(4)),
    record(3, EventType.EV_IPL, b"cmdline"),
)
LOG = log(*EVENTS)


def registers(data: bytes = LOG) -> list[bytes]:
    found = ccel.replay(ccel.parse(data))
    return [found.get(number, bytes(48)) for number in range(4)]


def refused(data: bytes, rtmrs: list[bytes]) -> dict[str, str]:
    with pytest.raises(EvidenceRefusedError) as caught:
        ccel.verify(data, rtmrs)
    return {check.id: str(check.reason) for check in caught.value.checks}


def test_data_is_given_out_only_where_it_is_hashed() -> None:
    claims = ccel.verify(LOG + b"\xff" * 500, registers())
    assert claims.covered == {0, 1, 2}
    assert [(entry.rtmr, entry.data) for entry in claims.measured] == [
        (0, b"SecureBoot=0"),
        (1, None),
        (1, bytes(4)),
        (2, b"cmdline"),
    ]
    assert claims.measured[1].digest == UKI


@pytest.mark.parametrize("number", range(3))
def test_each_firmware_register_has_to_be_the_log_s(number: int) -> None:
    rtmrs = registers()
    rtmrs[number] = b"\1" * 48
    assert refused(LOG, rtmrs) == {f"ccel.rtmr{number}": "replay"}


def test_a_register_that_the_log_is_silent_about_is_zero() -> None:
    short = log(*EVENTS[:3])
    rtmrs = registers()
    assert refused(short, rtmrs) == {"ccel.rtmr2": "replay"}
    assert ccel.verify(short, [*rtmrs[:2], bytes(48), bytes(48)]).covered == {0, 1, 2}


def test_rtmr3_is_the_application_s() -> None:
    rtmrs = [*registers()[:3], b"\7" * 48]
    assert 3 not in ccel.verify(LOG, rtmrs).covered
    longer = log(*EVENTS, record(4, EventType.EV_EVENT_TAG, b"settings"))
    assert refused(longer, rtmrs) == {"ccel.rtmr3": "replay"}
    assert ccel.verify(longer, registers(longer)).covered == {0, 1, 2, 3}


def test_order_and_number_of_events_count() -> None:
    swapped = log(EVENTS[0], EVENTS[2], EVENTS[1], EVENTS[3])
    assert refused(swapped, registers()) == {"ccel.rtmr1": "replay"}
    assert refused(log(*EVENTS, EVENTS[2]), registers()) == {"ccel.rtmr1": "replay"}
    assert refused(log(*EVENTS[:2], EVENTS[3]), registers()) == {"ccel.rtmr1": "replay"}


def test_events_that_only_inform_extend_nothing() -> None:
    informed = log(*EVENTS, record(0, EventType.EV_NO_ACTION, b"note", digest=bytes(48)))
    assert len(ccel.verify(informed, registers()).measured) == 4


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (log(record(5, 4, b"")), "register 5, want 1 to 4"),
        (log(record(0, 4, b"")), "register 0, want 1 to 4"),
        (log(record(5, 3, b"")), "register 5, want 1 to 4"),
        (log(banks=(SHA256,)), "no SHA-384"),
        (b"", "pcrIndex"),
    ],
)
def test_malformed_logs(data: bytes, words: str) -> None:
    with pytest.raises(MalformedError, match=words):
        ccel.verify(data, [bytes(48)] * 4)


@pytest.mark.parametrize("rtmrs", [[bytes(48)] * 3, [bytes(48)] * 5, [bytes(32)] * 4])
def test_four_registers_of_48_bytes(rtmrs: list[bytes]) -> None:
    with pytest.raises(MalformedError, match="4 registers of 48 bytes"):
        ccel.verify(LOG, rtmrs)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(LOG) - 1), st.integers(0, 7))
def test_no_bit_of_a_digest_can_be_turned(at: int, bit: int) -> None:
    changed = bytearray(LOG)
    changed[at] ^= 1 << bit
    with contextlib.suppress(MalformedError, EvidenceRefusedError):
        claims = ccel.verify(bytes(changed), registers())
        good = ccel.verify(LOG, registers())
        # What is left to an attacker: types, and data that nothing proves.
        assert [(e.rtmr, e.digest) for e in claims.measured] == [(e.rtmr, e.digest) for e in good.measured]
        assert all(e.data in (None, g.data) for e, g in zip(claims.measured, good.measured, strict=True))
