"""TPM logs of both formats: what they replay to, what of them is proven, and every check alone."""

from __future__ import annotations

import struct
from hashlib import sha1, sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.attestation.eventlog import tcg
from runtime.attestation.eventlog.events import SHA1, SHA256, SHA384, EventType
from runtime.attestation.findings import Findings, Reason
from runtime.errors import MalformedError
from tests.fakes import event_log
from tests.fakes.event_log import record, sha1_record

BANKS = (SHA1, SHA256)
SEPARATOR, IPL, NO_ACTION = EventType.EV_SEPARATOR, EventType.EV_IPL, EventType.EV_NO_ACTION
BOOT, AUTHORITY = EventType.EV_EFI_VARIABLE_BOOT, EventType.EV_EFI_VARIABLE_AUTHORITY
SM3 = 0x0012


def variable(name: str, content: bytes) -> bytes:
    text = name.encode("utf-16-le")
    return struct.pack("<16sQQ", b"g" * 16, len(name), len(content)) + text + content


def crypto_agile(*records: bytes) -> bytes:
    return event_log.log(*records, banks=BANKS, register=0)


def both(register: int, kind: int, data: bytes) -> bytes:
    return record(register, kind, data, banks=BANKS)


LOG = crypto_agile(
    both(4, EventType.EV_EFI_ACTION, b"Calling EFI Application from Boot Option"),
    both(0, SEPARATOR, bytes(4)),
    both(4, SEPARATOR, bytes(4)),
    both(7, AUTHORITY, variable("db", b"certificate")),
    both(7, SEPARATOR, b"\xff" * 4),
    both(14, IPL, b"settings"),
)
REGISTERS = frozenset({0, 4, 7, 14})


def failed(data: bytes, registers: frozenset[int] = REGISTERS, bank: int = SHA256) -> dict[str, Reason]:
    """Hold the log against registers that hold what LOG says."""
    findings = Findings()
    tcg.explain(findings, tcg.parse(data), bank, tcg.replay(tcg.parse(LOG), bank), registers)
    return {check.id: check.reason for check in findings.failed()}


def test_every_bank_is_replayed() -> None:
    log = tcg.parse(LOG)
    assert log.banks == BANKS
    assert (log.size, log.trailing, log.startup_locality) == (len(LOG), 0, 0)
    assert set(tcg.replay(log, SHA256)) == REGISTERS
    assert tcg.replay(log, SHA256)[14] == sha256(bytes(32) + sha256(b"settings").digest()).digest()
    assert tcg.replay(log, SHA1)[14] == sha1(bytes(20) + sha1(b"settings").digest()).digest()  # noqa: S324
    assert log.spec_id is not None


def test_the_old_format() -> None:
    log = tcg.parse(sha1_record(4, SEPARATOR, bytes(4)))
    assert (log.spec_id, log.banks) == (None, (SHA1,))
    assert set(tcg.replay(log, SHA1)) == {4}


@pytest.mark.parametrize("bank", [SHA384, SM3, 0x99])
def test_banks_that_the_log_has_not_or_nobody_can_compute(bank: int) -> None:
    log = tcg.parse(event_log.log(spec=event_log.spec_id(((SM3, 32), (SHA256, 32))), register=0))
    with pytest.raises(MalformedError, match="has no bank"):
        tcg.replay(log, bank)


def locality(value: bytes, register: int = 0) -> bytes:
    return both(register, NO_ACTION, b"StartupLocality\0" + value)


def test_pcr_0_begins_with_the_startup_locality() -> None:
    log = tcg.parse(crypto_agile(locality(b"\3"), both(0, SEPARATOR, bytes(4))))
    assert log.startup_locality == 3
    start = bytes(31) + b"\3"
    assert tcg.replay(log, SHA256)[0] == sha256(start + sha256(bytes(4)).digest()).digest()


def test_a_locality_where_it_does_not_count() -> None:
    late = crypto_agile(both(0, SEPARATOR, bytes(4)), locality(b"\3"))
    elsewhere = crypto_agile(locality(b"\3", register=1), both(0, SEPARATOR, bytes(4)))
    for data in (late, elsewhere):
        assert tcg.parse(data).startup_locality == 0
    assert not tcg.replay(tcg.parse(crypto_agile(locality(b"\3"))), SHA256)


@pytest.mark.parametrize("records", [(b"",), (b"\1",), (b"\5",), (b"\3\0",), (b"\3", b"\3")])
def test_a_locality_that_no_firmware_writes(records: tuple[bytes, ...]) -> None:
    with pytest.raises(MalformedError, match="StartupLocality") as refusal:
        tcg.parse(crypto_agile(*map(locality, records)))
    assert refusal.value.offset is not None


def test_informative_records_extend_nothing() -> None:
    informed = crypto_agile(both(1, NO_ACTION, b"SP800-155 Event3" + bytes(40)))
    assert not tcg.replay(tcg.parse(informed), SHA256)
    assert len(tcg.parse(informed).events) == 2


def test_registers_that_no_tpm_has() -> None:
    with pytest.raises(MalformedError, match="pcrIndex is 24"):
        tcg.parse(crypto_agile(both(24, IPL, b"")))
    with pytest.raises(MalformedError, match="pcrIndex is 4294967295"):
        tcg.parse(sha1_record(0xFFFFFFFF, IPL, b""))


def test_what_is_behind_the_closing_record_is_not_part_of_the_log() -> None:
    first = sha1_record(4, SEPARATOR, bytes(4))
    rest = sha1_record(0xFFFFFFFF, NO_ACTION, b"trailer") + sha1_record(4, IPL, b"story")
    log = tcg.parse(first + rest)
    assert (len(log.events), log.size, log.trailing) == (1, len(first), len(rest))


def test_fill_is_counted() -> None:
    assert tcg.parse(LOG + bytes(100)).trailing == 100


# What is proven


def test_the_events_of_a_log_that_explains_its_registers() -> None:
    log = tcg.parse(LOG)
    findings = Findings()
    proven = tcg.explain(findings, log, SHA256, tcg.replay(log, SHA256), frozenset({14}))
    assert not findings.failed()
    assert [event.data for event in proven] == [b"settings"]
    assert not failed(LOG)
    assert not failed(LOG, bank=SHA1)


def test_what_only_informs_is_not_proven() -> None:
    log = tcg.parse(crypto_agile(both(14, NO_ACTION, b"story"), both(14, IPL, b"settings")))
    proven = tcg.explain(Findings(), log, SHA256, tcg.replay(log, SHA256), frozenset({14}))
    assert [event.data for event in proven] == [b"settings"]


@pytest.mark.parametrize("register", range(9))
def test_registers_of_the_firmware_are_0_to_7(register: int) -> None:
    log, findings = tcg.parse(crypto_agile(both(register, IPL, b"x"))), Findings()
    tcg.explain(findings, log, SHA256, tcg.replay(log, SHA256), frozenset({register}))
    assert [check.id for check in findings.failed()] == ["log.separator"] * (register < 8)


def test_a_register_that_was_not_quoted_is_not_explained() -> None:
    assert failed(LOG, REGISTERS | {9}) == {"log.replay.9": Reason.MEASUREMENT}


def test_a_register_without_events_holds_zeros() -> None:
    findings = Findings()
    log = tcg.parse(LOG)
    assert not tcg.explain(findings, log, SHA256, {9: bytes(32)}, frozenset({9}))
    assert not findings.failed()
    tcg.explain(findings, log, SHA256, {9: b"\1" + bytes(31)}, frozenset({9}))
    assert {check.id for check in findings.failed()} == {"log.replay.9"}


def test_one_event_more_less_or_moved() -> None:
    settings = both(14, IPL, b"settings")
    for data in (
        LOG + settings,
        LOG.removesuffix(settings),
        LOG.replace(b"\x0e\0\0\0\x0d", b"\x08\0\0\0\x0d"),
    ):
        assert data != LOG
        assert failed(data) == {"log.replay.14": Reason.MEASUREMENT}


def test_data_that_its_digest_does_not_cover_is_flagged() -> None:
    assert failed(LOG.replace(b"Calling", b"Falling")) == {"log.event_data": Reason.MEASUREMENT}
    assert failed(LOG.replace(b"certificate", b"Certificate")) == {"log.event_data": Reason.MEASUREMENT}
    # Whoever reads another register's events is not told about this one's.
    assert not failed(LOG.replace(b"Calling", b"Falling"), frozenset({14}))
    # A type that promises nothing is never flagged, and is not evidence of its own text.
    assert not failed(LOG.replace(b"settings", b"Settings"))


def one(data: bytes, kind: int, digest: bytes | None = None) -> bool:
    (_, event) = tcg.parse(
        event_log.log(record(7, kind, data, digest=digest, banks=(SHA256,)), banks=(SHA256,))
    ).events
    return tcg.is_flagged(event)


def test_the_digest_of_a_variable_is_that_of_its_content_or_of_all_of_it() -> None:
    data = variable("db", b"content")
    content = sha256(b"content").digest()
    assert not one(data, AUTHORITY)
    assert not one(data, BOOT, content)
    assert one(data, EventType.EV_EFI_VARIABLE_DRIVER_CONFIG, content)
    assert one(data, BOOT, sha256(data[:-1]).digest())
    for broken in (data[:20], data + b"\0", data[:-1], struct.pack("<16sQQ", b"", 2000, 0) + bytes(4000)):
        assert not one(broken, BOOT)
        assert one(broken, BOOT, content)
    # Names have 1,024 characters at most, and a variable may be empty.
    for name, right in ((1024, True), (1025, False)):
        data = struct.pack("<16sQQ", b"", name, 7) + bytes(2 * name) + b"content"
        assert one(data, BOOT, content) is not right
    assert not one(struct.pack("<16sQQ", b"", 0, 0), BOOT, sha256(b"").digest())
    # A variable that says it is shorter than it is has no content.
    assert one(struct.pack("<16sQQ", b"", 0, 3) + b"content", BOOT, content)


def test_a_bank_that_nobody_can_compute_covers_nothing() -> None:
    spec = event_log.spec_id(((SM3, 32),))
    body = struct.pack("<IIIH", 7, SEPARATOR, 1, SM3) + bytes(32) + struct.pack("<I", 4) + bytes(4)
    (_, event) = tcg.parse(event_log.log(body, spec=spec)).events
    assert tcg.is_flagged(event)


@pytest.mark.parametrize("data", [b"\0\0\0\1", bytes(5), b""])
def test_a_separator_that_reports_an_error(data: bytes) -> None:
    log = tcg.parse(crypto_agile(both(4, SEPARATOR, data)))
    findings = Findings()
    tcg.explain(findings, log, SHA256, tcg.replay(log, SHA256), frozenset({4}))
    assert [check.id for check in findings.failed()] == ["log.separator"]


@pytest.mark.parametrize("count", [0, 2])
def test_each_firmware_register_has_one_separator(count: int) -> None:
    log = tcg.parse(crypto_agile(both(4, IPL, b""), *[both(4, SEPARATOR, bytes(4))] * count))
    findings = Findings()
    tcg.explain(findings, log, SHA256, tcg.replay(log, SHA256), frozenset({4}))
    assert [check.id for check in findings.failed()] == ["log.separator"]


def test_other_registers_need_none() -> None:
    log = tcg.parse(crypto_agile(both(12, SEPARATOR, b"x"), both(12, SEPARATOR, b"y")))
    findings = Findings()
    tcg.explain(findings, log, SHA256, tcg.replay(log, SHA256), frozenset({12}))
    assert not findings.failed()


@given(st.integers(0, len(LOG)), st.binary(max_size=20))
def test_nothing_but_our_error_comes_out(at: int, junk: bytes) -> None:
    for data in (junk, LOG[:at] + junk, LOG[:at] + junk + LOG[at + len(junk) :]):
        try:
            log = tcg.parse(data)
            tcg.explain(Findings(), log, SHA1, {}, frozenset(range(24)))
        except MalformedError:
            continue
