"""A TPM's boot log: what its registers should hold, and which events say what was measured. Pure.

TCG PC Client Platform Firmware Profile (PFP) 1.06, section 10; both formats, all banks. A log is a story that
whoever sends it tells. `explain` believes of it what a quoted register confirms: every event of that register
in order, and of each event's data only what its digest covers. Everything else stays a story.

A PCR index of 0xFFFFFFFF on an EV_NO_ACTION record is how Windows closes its log (the WBCL trailer): what is
behind it describes the log and is not part of it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from runtime.attestation.eventlog import events
from runtime.attestation.eventlog.events import DIGEST_BYTES, Event, EventType, SpecId
from runtime.attestation.findings import Findings, Reason
from runtime.errors import MalformedError

REGISTERS = 24  # a PC client's TPM has PCR 0 to 23
FIRMWARE_REGISTERS = range(8)  # PFP 3.3.4: each of them gets one separator, where the firmware lets go
BANK_NAMES: Mapping[int, str] = {
    events.SHA1: "sha1",
    events.SHA256: "sha256",
    events.SHA384: "sha384",
    events.SHA512: "sha512",
    events.SM3_256: "sm3_256",
}
HASHED = frozenset({events.SHA1, events.SHA256, events.SHA384, events.SHA512})  # banks that can be replayed

_CLOSING = 0xFFFFFFFF
_LOCALITY = b"StartupLocality\0"  # TCG_EfiStartupLocalityEvent, PFP 10.4.5.3
_LOCALITIES = frozenset({0, 3, 4})
_SEPARATORS = frozenset({bytes(4), b"\xff" * 4})  # PFP 10.4.1, table 27: anything else reports an error
_VARIABLE = struct.Struct(
    "<16sQQ"
)  # UEFI_VARIABLE_DATA, PFP 10.2.6: GUID, name in UTF-16 units, data in bytes
_MAX_NAME = 1024  # UTF-16 units

# PFP table 27: the digest of these is that of the event data ...
_DIGEST_OF_DATA = frozenset(
    {
        EventType.EV_SEPARATOR,
        EventType.EV_ACTION,
        EventType.EV_S_CRTM_VERSION,
        EventType.EV_EFI_VARIABLE_DRIVER_CONFIG,
        EventType.EV_EFI_VARIABLE_BOOT2,
        EventType.EV_EFI_GPT_EVENT,
        EventType.EV_EFI_ACTION,
    }
)
# ... and of these that of the data or, by older profiles, of the variable's content alone.
_DIGEST_OF_VARIABLE = frozenset({EventType.EV_EFI_VARIABLE_BOOT, EventType.EV_EFI_VARIABLE_AUTHORITY})
_WHAT = "TCG event log"


@dataclass(frozen=True, slots=True, kw_only=True)
class TcgLog:
    """The records of one log up to its closing one; nothing about them is verified."""

    spec_id: SpecId | None  # None: the old format, SHA-1 only
    banks: tuple[int, ...]  # TPM_ALG_ID, in the order of the records
    events: tuple[Event, ...]
    startup_locality: int  # what PCR 0 began with, in its last byte
    size: int  # bytes that the records take
    trailing: int  # bytes behind them: fill, or what follows the closing record


def parse(data: bytes) -> TcgLog:
    """Read a log of either format. Raises: MalformedError with the offset."""
    if events.is_crypto_agile(data):
        found = events.parse(data, _WHAT, padded=True)
    else:
        found = events.parse_sha1(data, _WHAT)
    kept: list[Event] = []
    size = found.size
    for event in found.events:
        if event.register == _CLOSING and not event.extends:
            size = event.offset
            break
        if event.register >= REGISTERS:
            raise MalformedError(_WHAT, f"pcrIndex is {event.register}, want 0 to 23", offset=event.offset)
        kept.append(event)
    return TcgLog(
        spec_id=found.spec_id,
        banks=(events.SHA1,) if found.spec_id is None else tuple(found.spec_id.banks),
        events=tuple(kept),
        startup_locality=_startup_locality(kept),
        size=size,
        trailing=len(data) - size,
    )


def _startup_locality(found: list[Event]) -> int:
    """Return the locality of TPM2_Startup; PCR 0 begins with it. Raises: MalformedError."""
    locality: int | None = None
    for event in found:
        if event.register != 0:
            continue
        if event.extends:
            break  # a later record could not change what PCR 0 began with
        if not event.data.startswith(_LOCALITY):
            continue
        value = event.data[len(_LOCALITY) :]
        if len(value) != 1 or value[0] not in _LOCALITIES or locality is not None:
            raise MalformedError(
                _WHAT, "StartupLocality is not one byte of 0, 3 or 4, once", offset=event.offset
            )
        locality = value[0]
    return locality or 0


def replay(log: TcgLog, bank: int) -> Mapping[int, bytes]:
    """Return what the log says the bank's registers hold; those that no event extends are not named.

    Raises: MalformedError if the log has no such bank, or one whose hash nobody here can compute.
    """
    if bank not in log.banks or bank not in HASHED:
        names = [BANK_NAMES.get(entry, f"{entry:#06x}") for entry in log.banks]
        raise MalformedError(_WHAT, f"has no bank {BANK_NAMES.get(bank, bank)} to replay, only {names}")
    start: dict[int, bytes] = {}
    if any(event.extends and event.register == 0 for event in log.events):
        start[0] = bytes(DIGEST_BYTES[bank] - 1) + bytes([log.startup_locality])
    return events.replay(log.events, bank, start)


def is_flagged(event: Event) -> bool:
    """Whether the event's type promises that its digests cover its data, and they do not.

    Types that promise nothing (what was loaded, grub's and the kernel's own) are never flagged: their data
    is a comment, and no rule may read it as fact.
    """
    kind = event.type
    if kind not in _DIGEST_OF_DATA and kind not in _DIGEST_OF_VARIABLE:
        return False
    return not covers(event)


def covers(event: Event) -> bool:
    """Tell whether every digest that can be computed, and at least one, is that of the event's data."""
    banks = [bank for bank in event.digests if bank in HASHED]
    accepted = [event.data]
    if event.type in _DIGEST_OF_VARIABLE and (content := _variable_content(event.data)) is not None:
        accepted.append(content)
    return bool(banks) and any(
        all(events.hash_of(bank, data) == event.digests[bank] for bank in banks) for data in accepted
    )


def _variable_content(data: bytes) -> bytes | None:
    if len(data) < _VARIABLE.size:
        return None
    _, name, size = _VARIABLE.unpack_from(data)
    start = _VARIABLE.size + 2 * name
    if name > _MAX_NAME or start + size != len(data):
        return None
    return data[start:]


def explain(
    findings: Findings, log: TcgLog, bank: int, quoted: Mapping[int, bytes], registers: frozenset[int]
) -> tuple[Event, ...]:
    """Note whether the log explains `registers`; return their events, proven once the findings settle.

    `quoted` are the values that a verified quote is about; a register outside it is not explained. One that
    the log never extends has to hold what the log says: zeros. Raises: MalformedError.
    """
    replayed = replay(log, bank)
    for register in sorted(registers):
        told = replayed.get(register, bytes(DIGEST_BYTES[bank]))
        found = quoted.get(register)
        findings.require(
            found == told,
            f"log.replay.{register}",
            Reason.MEASUREMENT,
            expected="a quoted register" if found is None else found.hex(),
            actual=told.hex(),
            source="the event log that came along, replayed",
            remedy="send the whole log of this boot: events are missing, altered or in another order",
        )
    proven = tuple(event for event in log.events if event.extends and event.register in registers)
    _check_data(findings, proven)
    _check_separators(findings, proven, registers)
    return proven


def _check_data(findings: Findings, proven: tuple[Event, ...]) -> None:
    flagged = [event for event in proven if is_flagged(event)]
    findings.require(
        not flagged,
        "log.event_data",
        Reason.MEASUREMENT,
        expected="event data that the digests cover",
        actual=", ".join(
            f"PCR {event.register} type {event.type:#x} at byte {event.offset}" for event in flagged[:8]
        )
        or "covered",
        source="the event log that came along",
        remedy="the log's text was altered, or the firmware logs what it did not measure: do not read it",
    )


def _check_separators(findings: Findings, proven: tuple[Event, ...], registers: frozenset[int]) -> None:
    """One separator ends the firmware's part: a second one would let an attacker play that part again."""
    separators: dict[int, list[bytes]] = {
        register: [] for register in sorted(registers) if register in FIRMWARE_REGISTERS
    }
    for event in proven:
        if event.type == EventType.EV_SEPARATOR and event.register in separators:
            separators[event.register].append(event.data)
    wrong = [
        register for register, found in separators.items() if len(found) != 1 or found[0] not in _SEPARATORS
    ]
    findings.require(
        not wrong,
        "log.separator",
        Reason.MEASUREMENT,
        expected="one separator in each of PCR 0 to 7, without an error code",
        actual=f"not so in PCR {', '.join(map(str, wrong))}" if wrong else "one each",
        source="the event log that came along",
        remedy="the firmware did not hand over as the profile asks: look at its version, or pin values",
    )
