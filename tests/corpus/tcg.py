"""TCG event logs of a case: how each fact is found, what each mutation changes. Pure, but for `cases`."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from runtime.attestation.eventlog import tcg
from runtime.attestation.eventlog.events import Event
from runtime.attestation.eventlog.tcg import TcgLog
from runtime.attestation.findings import Findings
from runtime.attestation.tees.tpm import quote, signature
from runtime.attestation.tees.tpm.pcrs import PcrValues
from runtime.errors import MalformedError
from tests.corpus.cases import Case
from tests.corpus.snp import NotApplicable
from tests.corpus.tpm import MALFORMED, flip, quotes, refusals


def log_facts(case: Case, claimed: Mapping[str, Any]) -> dict[str, Callable[[], Any]]:
    """Return how each fact about a log is found."""
    data = case.one("event_log")
    assert data is not None, f"{case.path}: facts about a log that is not there"
    log = tcg.parse(data)
    banks = {tcg.BANK_NAMES[bank]: bank for bank in log.banks}

    def replayed() -> dict[str, dict[str, str]]:
        named: Mapping[str, Any] = claimed.get("replayed_pcrs", claimed.get("published_pcrs", {}))
        return {
            name: {str(index): value.hex() for index, value in tcg.replay(log, banks[name]).items()}
            for name in named
        }

    def compared() -> dict[str, dict[str, list[int]]]:
        out: dict[str, dict[str, list[int]]] = {}
        for name, values in claimed["published_pcrs"].items():
            own = tcg.replay(log, banks[name])
            indices = sorted(map(int, values))
            known = [index for index in indices if index in own]
            out[name] = {
                "equal": [index for index in known if own[index].hex() == values[str(index)]],
                "different": [index for index in known if own[index].hex() != values[str(index)]],
                "not_in_log": [index for index in indices if index not in own],
            }
        return out

    def published() -> Any:
        # What the publisher says of the machine is no output of the log; how the two compare is.
        allowed = claimed.get("published_pcrs_compared", {})
        for name, found in compared().items():
            assert found["different"] == allowed.get(name, {}).get("different", []), name
        return claimed["published_pcrs"]

    return {
        "events": lambda: len(log.events),
        "banks": lambda: list(banks),
        "replayed_pcrs": replayed,
        "bytes_consumed": lambda: log.size,
        "trailing_bytes": lambda: log.trailing,
        "event_types": lambda: _event_types(log),
        "published_pcrs": published,
        "published_pcrs_compared": compared,
        "pcr_digest_matches_quote": lambda: _digest_matches_quote(case, log),
    }


def _event_types(log: TcgLog) -> dict[str, int]:
    found: dict[str, int] = {}
    for event in log.events:
        found[f"{event.type:#x}"] = found.get(f"{event.type:#x}", 0) + 1
    return found


def _digest_matches_quote(case: Case, log: TcgLog) -> bool:
    """Whether the log replays to what the quotes of its banks are about."""
    for subject in quotes(case):
        parsed = subject.parsed
        (selection,) = parsed.selections
        replayed = tcg.replay(log, selection.bank)
        if not selection.registers <= set(replayed):
            return False
        values = PcrValues(
            bank=selection.bank, values={index: replayed[index] for index in selection.registers}
        )
        findings = Findings()
        quote.check_pcr_digest(findings, parsed, signature.parse(subject.signature, subject.form), values)
        if findings.failed():
            return False
    return True


def log_refused(data: bytes, original: bytes) -> frozenset[str]:
    """Return why a log is refused beside registers that hold what the original log says, in any bank."""
    before = tcg.parse(original)
    found: frozenset[str] = frozenset()
    try:
        log = tcg.parse(data)
        for bank in before.banks:
            quoted = tcg.replay(before, bank)
            findings = Findings()
            tcg.explain(findings, log, bank, quoted, frozenset(quoted))
            found |= refusals(findings.failed())
    except MalformedError:
        return frozenset({MALFORMED})
    return found | {f"flagged at {event.offset}" for event in log.events if tcg.is_flagged(event)}


# Mutations

LogChange = Callable[[TcgLog, bytes], bytes]


def _ends(log: TcgLog) -> list[tuple[Event, int]]:
    """Return every record with the offset behind it."""
    offsets = [event.offset for event in log.events[1:]] + [log.size]
    return list(zip(log.events, offsets, strict=True))


def _extending(log: TcgLog) -> list[tuple[Event, int]]:
    found = [(event, end) for event, end in _ends(log) if event.extends]
    if not found:
        message = "the log extends nothing"
        raise NotApplicable(message)
    return found


def _flip_digest(log: TcgLog, data: bytes) -> bytes:
    events = _extending(log)
    event, end = events[len(events) // 2]
    # The last digest ends where the size of the event data begins.
    return flip(data, end - len(event.data) - 4 - 1)


def _drop_last(log: TcgLog, data: bytes) -> bytes:
    event, end = _extending(log)[-1]
    return data[: event.offset] + data[end:]


def _swap(log: TcgLog, data: bytes) -> bytes:
    events = _extending(log)
    for number, (first, first_end) in enumerate(events):
        following = next(((e, end) for e, end in events[number + 1 :] if e.register == first.register), None)
        if following is not None and following[0].digests != first.digests:
            second, second_end = following
            between = data[first_end : second.offset]
            one, two = data[first.offset : first_end], data[second.offset : second_end]
            return data[: first.offset] + two + between + one + data[second_end:]
    message = "no register has two neighbouring events that differ"
    raise NotApplicable(message)


def _oversize(log: TcgLog, data: bytes) -> bytes:
    event, end = _ends(log)[-1]
    at = end - len(event.data) - 4
    return data[:at] + struct.pack("<I", len(data) - at) + data[at + 4 :]


def _truncate(log: TcgLog, data: bytes) -> bytes:
    event, end = _ends(log)[-1]
    return data[: event.offset + (end - event.offset) // 2]


def _flip_data(log: TcgLog, data: bytes) -> bytes:
    for event, end in _extending(log):
        if event.data and tcg.covers(event) and tcg.is_flagged(replace(event, data=flip(event.data, 0))):
            return flip(data, end - len(event.data))
    message = "no digest covers its event's data"
    raise NotApplicable(message)


MUTATIONS: Mapping[str, LogChange] = {
    "log-flip-digest": _flip_digest,
    "log-drop-last": _drop_last,
    "log-swap": _swap,
    "log-oversize": _oversize,
    "log-truncate": _truncate,
    "log-flip-data": _flip_data,
}
