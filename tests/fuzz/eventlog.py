"""Event logs of TPMs and TDs: read, replayed, and believed only where a register says so."""

from __future__ import annotations

from runtime.attestation.eventlog import ccel, events, tcg
from runtime.attestation.eventlog.events import EventType
from runtime.attestation.findings import EvidenceRefusedError, Findings
from runtime.errors import MalformedError
from tests.fakes import event_log
from tests.fuzz.target import Target

_REGISTERS = frozenset(range(8))


def _tcg(data: bytes) -> None:
    log = tcg.parse(data)
    assert log.size + log.trailing == len(data)
    for bank in log.banks:
        if bank in tcg.HASHED:
            told = tcg.replay(log, bank)
            findings = Findings()
            proven = tcg.explain(findings, log, bank, told, _REGISTERS)
            assert all(event.offset < len(data) for event in proven)


def _tcg_seeds() -> list[bytes]:
    separator = [
        event_log.record(n, EventType.EV_SEPARATOR, bytes(4), banks=event_log.BOTH) for n in range(8)
    ]
    agile = event_log.log(*separator, banks=event_log.BOTH, register=0)
    old = b"".join(event_log.sha1_record(n, EventType.EV_SEPARATOR, bytes(4)) for n in range(8))
    locality = event_log.record(0, 3, b"StartupLocality\0\3", digest=bytes(32), banks=(events.SHA256,))
    return [agile, agile + b"\xff" * 32, old, event_log.log(locality, banks=(events.SHA256,), register=0)]


def _ccel(data: bytes) -> None:
    told = ccel.replay(ccel.parse(data))
    claims = ccel.verify(data, [told.get(number, bytes(48)) for number in range(4)])
    assert claims.covered >= set(told)


def _ccel_seeds() -> list[bytes]:
    records = [event_log.record(n, EventType.EV_SEPARATOR, bytes(4)) for n in range(1, 5)]
    return [event_log.log(*records), event_log.log(*records) + b"\xff" * 64]


TARGETS = (
    Target(name="tcg_log", read=_tcg, seeds=_tcg_seeds, roles=("event_log",), max_size=65536),
    Target(
        name="ccel",
        read=_ccel,
        seeds=_ccel_seeds,
        roles=("ccel",),
        max_size=65536,
        refuses=(MalformedError, EvidenceRefusedError),
    ),
)
