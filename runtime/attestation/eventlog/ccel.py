"""The CC event log: what it replays to, and which of its contents the quoted registers prove. Pure.

UEFI 2.10, section 38.4 (Confidential Computing), and Intel TDVF Design Guide, section 8.3: measurement
register index 1 to 4 is RTMR0 to RTMR3, SHA-384; index 0 is MRTD, which no event extends.

An attacker writes every byte of the log; only the registers of a verified quote are true. A log that replays
says which digests were extended, in which order. It does not prove an event's type, nor its data: data is
given out only where the digest is its hash, and what was booted is known by its digest alone. What was booted
is therefore asked of the registers themselves (`image_policy`), never of a log that replays.
Not defended: a register the log says nothing about (RTMR3 belongs to the application) is not proven by it;
`CcelClaims.covered` says which are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from runtime.attestation.eventlog import events
from runtime.attestation.eventlog.events import SHA384, Event, EventLog
from runtime.attestation.findings import Findings, Reason
from runtime.errors import MalformedError

RTMR_COUNT = 4
RTMR_BYTES = 48
# A TD's firmware measures into these; the log has to explain them even where it is silent (zeros).
FIRMWARE_RTMRS = (0, 1, 2)
_WHAT = "CC event log"
_ZERO = bytes(RTMR_BYTES)


class CcelReason(StrEnum):
    """Why a CC log fails, where the platforms' shared reasons have no word for it."""

    REPLAY = "replay"  # the log does not lead to the registers that were quoted


# A Check asks for a Reason; both are strings, and whoever reads one reads the string.
REPLAY = cast("Reason", CcelReason.REPLAY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One event that extended a register, as far as the register proves it."""

    rtmr: int  # 0 to 3
    type: int  # the log's word; only the digest is proven
    digest: bytes  # 48
    data: bytes | None  # None where the digest is not the data's hash: then nothing proves the data


@dataclass(frozen=True, slots=True, kw_only=True)
class CcelClaims:
    """What the quoted registers and the log say together. Made by `verify` alone."""

    measured: tuple[Measured, ...]
    covered: frozenset[int]  # the RTMRs that the replay explains


def parse(data: bytes) -> EventLog:
    """Read a CC log, with the fill behind it. Raises: MalformedError."""
    log = events.parse(data, _WHAT, padded=True)
    if log.spec_id is None or SHA384 not in log.spec_id.banks:
        raise MalformedError(_WHAT, "has no SHA-384 digests", offset=0)
    for event in log.events:
        if event.register > RTMR_COUNT or (event.extends and event.register == 0):
            raise MalformedError(
                _WHAT, f"measures into register {event.register}, want 1 to {RTMR_COUNT}", offset=event.offset
            )
    return log


def replay(log: EventLog) -> Mapping[int, bytes]:
    """Return what the log leads to, for the RTMRs that it extends: 48 bytes by number."""
    return {index - 1: value for index, value in events.replay(log.events, SHA384, {}).items()}


def verify(data: bytes, rtmrs: Sequence[bytes]) -> CcelClaims:
    """Return what the log proves about the four registers of a verified quote.

    RTMR0 to RTMR2 have to be what the log says, zero where it says nothing; RTMR3 only if the log has events
    for it. Raises: EvidenceRefusedError with every register that differs, MalformedError.
    """
    log, findings = parse(data), Findings()
    if len(rtmrs) != RTMR_COUNT or any(len(value) != RTMR_BYTES for value in rtmrs):
        raise MalformedError("TD quote", f"has not {RTMR_COUNT} registers of {RTMR_BYTES} bytes")
    found = replay(log)
    covered = frozenset(FIRMWARE_RTMRS) | set(found)
    for number in sorted(covered):
        findings.require(
            found.get(number, _ZERO) == rtmrs[number],
            f"ccel.rtmr{number}",
            REPLAY,
            expected=f"{rtmrs[number].hex()[:32]}… (of the quote)",
            actual=f"{found.get(number, _ZERO).hex()[:32]}…",
            source="the replay of the CC event log",
            remedy="send the log of this very boot, whole and unchanged",
        )
    findings.settle()
    return CcelClaims(
        measured=tuple(_measured(event) for event in log.events if event.extends), covered=covered
    )


def _measured(event: Event) -> Measured:
    digest = event.digests[SHA384]
    proven = events.hash_of(SHA384, event.data) == digest
    return Measured(
        rtmr=event.register - 1, type=event.type, digest=digest, data=event.data if proven else None
    )
