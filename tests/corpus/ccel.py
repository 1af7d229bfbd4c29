"""CCEL cases: what to feed, how each fact is found, what each mutation changes. Pure, but for `cases`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from runtime.attestation.eventlog import ccel
from runtime.attestation.eventlog.ccel import CcelReason
from runtime.attestation.eventlog.events import SHA384, Event
from runtime.attestation.findings import EvidenceRefusedError, Reason
from runtime.attestation.tees.tdx import quote
from runtime.errors import MalformedError
from tests.corpus import cases
from tests.corpus.cases import Case
from tests.corpus.tdx import NotApplicable

PLATFORM = "ccel"


@dataclass(frozen=True, slots=True)
class Subject:
    """A log, and the registers that it is held against."""

    log: bytes
    rtmrs: tuple[bytes, ...]


def log_of(case: Case) -> bytes:
    data = case.one("ccel")
    assert data is not None, f"{case.path}: no ccel"
    return data


def subject(case: Case) -> Subject:
    """Return the log with the registers that it claims: the baseline of every mutation.

    A case's own quote may be of another boot, or there may be none.
    """
    data = log_of(case)
    found = ccel.replay(ccel.parse(data))
    return Subject(data, tuple(found.get(number, bytes(48)) for number in range(ccel.RTMR_COUNT)))


def quoted(case: Case) -> tuple[bytes, ...] | None:
    data = case.one("td_quote")
    return None if data is None else quote.parse(data).report.rtmrs


def facts(case: Case) -> dict[str, Any]:
    """Return every fact that a log, and its quote if there is one, tells."""
    data = log_of(case)
    try:
        log = ccel.parse(data)
    except MalformedError as error:
        return {"parse_error": str(error)}
    replayed, registers = ccel.replay(log), quoted(case)
    found: dict[str, Any] = {
        "events": len(log.events),
        "event_types": {f"{kind:#x}": n for kind, n in Counter(e.type for e in log.events).items()},
        "register_indexes": sorted({event.register for event in log.events}),
        "replayed_rtmrs": {f"rtmr{number}": value.hex() for number, value in sorted(replayed.items())},
        "bytes_consumed": log.size,
        "trailing_bytes": len(data) - log.size,
        "parse_error": None,
    }
    if registers is not None:
        found["rtmr_match"] = {
            f"rtmr{number}": value == registers[number] for number, value in sorted(replayed.items())
        }
    return found


def reasons(made: Subject) -> frozenset[str]:
    """Return why the log is refused; nothing if it is not."""
    try:
        ccel.verify(made.log, made.rtmrs)
    except EvidenceRefusedError as error:
        return frozenset(map(str, error.reasons))
    except MalformedError:
        return frozenset({str(Reason.MALFORMED)})
    return frozenset()


# Mutations

Change = Callable[[Case], Subject]


def _extending(made: Subject) -> list[Event]:
    found = [event for event in ccel.parse(made.log).events if event.extends]
    if not found:
        message = "the log extends nothing"
        raise NotApplicable(message)
    return found


def _put(made: Subject, offset: int, value: bytes) -> Subject:
    return replace(made, log=made.log[:offset] + value + made.log[offset + len(value) :])


def _flip_digest(case: Case) -> Subject:
    made = subject(case)
    event = _extending(made)[len(_extending(made)) // 2]
    at = made.log.index(event.digests[SHA384], event.offset)
    return _put(made, at, bytes([made.log[at] ^ 1]))


def _size_field(event: Event) -> int:
    # register, type, count; algorithm and digest of every bank
    return event.offset + 12 + sum(2 + len(digest) for digest in event.digests.values())


def _drop_last(case: Case) -> Subject:
    made = subject(case)
    last = _extending(made)[-1]
    end = _size_field(last) + 4 + len(last.data)
    return replace(made, log=made.log[: last.offset] + made.log[end:])


def _change_index(case: Case) -> Subject:
    made = subject(case)
    event = _extending(made)[0]
    return _put(made, event.offset, (event.register % ccel.RTMR_COUNT + 1).to_bytes(4, "little"))


def _oversize(case: Case) -> Subject:
    made = subject(case)
    last = _extending(made)[-1]
    at = _size_field(last)
    return _put(made, at, (len(made.log) - at - 4 + 1).to_bytes(4, "little"))


def _truncate(case: Case) -> Subject:
    made = subject(case)
    return replace(made, log=made.log[: _size_field(_extending(made)[-1]) - 8])


def _other_quote(case: Case) -> Subject:
    made = subject(case)
    own = quoted(case)
    for other in cases.every_case():
        registers = quoted(other) if other.path != case.path else None
        if registers is not None and registers != own and registers[:3] != made.rtmrs[:3]:
            return replace(made, rtmrs=registers)
    message = "no other case has another quote"
    raise NotApplicable(message)


MUTATIONS: Mapping[str, Change] = {
    "ccel-flip-digest": _flip_digest,
    "ccel-drop-last": _drop_last,
    "ccel-change-index": _change_index,
    "ccel-oversize": _oversize,
    "ccel-truncate": _truncate,
    "ccel-other-quote": _other_quote,
}
VERDICTS: Mapping[str, str] = {
    "replay differs": CcelReason.REPLAY,
    "register mismatch": CcelReason.REPLAY,
    "malformed": Reason.MALFORMED,
}
