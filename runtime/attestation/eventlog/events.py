"""The records that TPM logs and CC logs share: every length is checked before it is believed. Pure.

TCG PC Client Platform Firmware Profile 1.06, section 10: the crypto-agile log is one TCG_PCClientPCREvent
(the Spec ID event, 10.4.5.1) followed by TCG_PCR_EVENT2 records; a log of the old format is nothing but
TCG_PCClientPCREvent records, SHA-1 only. UEFI 2.10, section 38.4.2, gives the CC log the same records.
Integers are little-endian.

What a record says is not judged here, and nothing here proves that it happened: only a register that was
quoted does, once the log replays to it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

from runtime.errors import MalformedError

MAX_LOG_SIZE = 1024 * 1024  # bytes; td-shim reserves exactly this, filled logs are under 128 KiB
MAX_EVENTS = 2048  # of one log; logs of real machines have under 150
MAX_EVENT_SIZE = 64 * 1024  # bytes of one event's data; variables with many keys reach 20 KiB
MAX_BANKS = 8  # digests per record


class EventType(IntEnum):
    """Event types (TCG PFP 1.06, table 27) that rules here ask for; a log may hold others."""

    EV_PREBOOT_CERT = 0x0
    EV_POST_CODE = 0x1
    EV_NO_ACTION = 0x3
    EV_SEPARATOR = 0x4
    EV_ACTION = 0x5
    EV_EVENT_TAG = 0x6
    EV_S_CRTM_CONTENTS = 0x7
    EV_S_CRTM_VERSION = 0x8
    EV_PLATFORM_CONFIG_FLAGS = 0xA
    EV_TABLE_OF_DEVICES = 0xB
    EV_COMPACT_HASH = 0xC
    EV_IPL = 0xD
    EV_NONHOST_INFO = 0x11
    EV_EFI_VARIABLE_DRIVER_CONFIG = 0x80000001
    EV_EFI_VARIABLE_BOOT = 0x80000002
    EV_EFI_BOOT_SERVICES_APPLICATION = 0x80000003
    EV_EFI_BOOT_SERVICES_DRIVER = 0x80000004
    EV_EFI_RUNTIME_SERVICES_DRIVER = 0x80000005
    EV_EFI_GPT_EVENT = 0x80000006
    EV_EFI_ACTION = 0x80000007
    EV_EFI_PLATFORM_FIRMWARE_BLOB = 0x80000008
    EV_EFI_HANDOFF_TABLES = 0x80000009
    EV_EFI_PLATFORM_FIRMWARE_BLOB2 = 0x8000000A
    EV_EFI_HANDOFF_TABLES2 = 0x8000000B
    EV_EFI_VARIABLE_BOOT2 = 0x8000000C
    EV_EFI_VARIABLE_AUTHORITY = 0x800000E0


# TPM_ALG_ID (TPM 2.0 Part 2, table 9)
SHA1, SHA256, SHA384, SHA512, SM3_256 = 0x0004, 0x000B, 0x000C, 0x000D, 0x0012
DIGEST_BYTES: Mapping[int, int] = MappingProxyType(
    {SHA1: 20, SHA256: 32, SHA384: 48, SHA512: 64, SM3_256: 32}
)
_HASH_NAMES: Mapping[int, str] = MappingProxyType(
    {SHA1: "sha1", SHA256: "sha256", SHA384: "sha384", SHA512: "sha512"}
)

_SPEC_ID_SIGNATURE = b"Spec ID Event03\0"
_MAX_DIGEST = 64  # bytes
_ERASED = b"\xff\xff\xff\xff"  # what a register index reads as where nothing was logged yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One record as it stands in the log."""

    offset: int  # of the record, in bytes from the beginning of the log
    register: int  # PCR index, or CC measurement register index
    type: int
    digests: Mapping[int, bytes]  # by TPM_ALG_ID
    data: bytes

    @property
    def extends(self) -> bool:
        """Whether a register was extended: EV_NO_ACTION only informs."""
        return self.type != EventType.EV_NO_ACTION


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecId:
    """TCG_EfiSpecIdEvent: which digests every record of the log carries."""

    version: tuple[int, int, int]  # major, minor, errata
    platform_class: int
    uintn_size: int  # 1: 32-bit, 2: 64-bit firmware
    banks: Mapping[int, int]  # TPM_ALG_ID -> digest size in bytes, in the order of the records
    vendor: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLog:
    """All records of a log, the first (the Spec ID event) among them."""

    spec_id: SpecId | None  # None: the old format, SHA-1 only
    events: tuple[Event, ...]
    size: int  # bytes that records take; what is behind them is fill


class _Reader:
    def __init__(self, data: bytes, what: str) -> None:
        self.data, self.what, self.offset = data, what, 0

    def fail(self, message: str, offset: int | None = None) -> MalformedError:
        return MalformedError(self.what, message, offset=self.offset if offset is None else offset)

    def take(self, size: int, field: str) -> bytes:
        start, end = self.offset, self.offset + size
        if end > len(self.data):
            raise self.fail(f"{field} needs {size} bytes, {len(self.data) - start} are left")
        self.offset = end
        return self.data[start:end]

    def number(self, size: int, field: str) -> int:
        return int.from_bytes(self.take(size, field), "little")

    def event_data(self) -> bytes:
        start = self.offset
        size = self.number(4, "eventSize")
        if size > MAX_EVENT_SIZE:
            raise self.fail(f"eventSize is {size}, want at most {MAX_EVENT_SIZE}", start)
        return self.take(size, "event")


def parse(data: bytes, what: str, *, padded: bool) -> EventLog:
    """Read a crypto-agile log. Raises: MalformedError with the offset.

    `padded`: the records may be followed by 0xFF or zero bytes only, as in the area that ACPI points to;
    otherwise the last byte of the last record is the last byte.
    """
    reader = _reader(data, what)
    first = _sha1_event(reader)
    spec_id = _spec_id(first, what)
    return _collect(reader, first, spec_id, lambda: _event2(reader, spec_id.banks), padded=padded)


def parse_sha1(data: bytes, what: str) -> EventLog:
    """Read a log of the old format: SHA-1 records only, no fill. Raises: MalformedError with the offset."""
    reader = _reader(data, what)
    return _collect(reader, _sha1_event(reader), None, lambda: _sha1_event(reader), padded=False)


def is_crypto_agile(data: bytes) -> bool:
    """Tell which of the two formats the first record announces; the log may still be malformed."""
    return data[32 : 32 + len(_SPEC_ID_SIGNATURE)] == _SPEC_ID_SIGNATURE


def _reader(data: bytes, what: str) -> _Reader:
    if len(data) > MAX_LOG_SIZE:
        raise MalformedError(what, f"is {len(data)} bytes, want at most {MAX_LOG_SIZE}")
    return _Reader(data, what)


def _collect(
    reader: _Reader, first: Event, spec_id: SpecId | None, following: Callable[[], Event], *, padded: bool
) -> EventLog:
    found = [first]
    while reader.offset < len(reader.data) and not (padded and _is_fill(reader)):
        if len(found) == MAX_EVENTS:
            raise reader.fail(f"has more than {MAX_EVENTS} events")
        found.append(following())
    return EventLog(spec_id=spec_id, events=tuple(found), size=reader.offset)


def _is_fill(reader: _Reader) -> bool:
    """Tell whether the records end here. Raises: MalformedError if something follows the fill."""
    data, start = reader.data, reader.offset
    head = data[start : start + 12]
    # Register 0, type 0, no digest: no record of the formats reads so.
    if head[:4] != _ERASED[: len(head)] and any(head):
        return False
    fill, left = head[:1], len(data) - start
    if data.count(fill, start) != left:
        raise reader.fail(f"has bytes other than {fill.hex()} behind the last event")
    return True


def _sha1_event(reader: _Reader) -> Event:
    """TCG_PCClientPCREvent, section 10.2.1."""
    start = reader.offset
    register, kind = reader.number(4, "pcrIndex"), reader.number(4, "eventType")
    digest = reader.take(DIGEST_BYTES[SHA1], "digest")
    return Event(offset=start, register=register, type=kind, digests={SHA1: digest}, data=reader.event_data())


def _event2(reader: _Reader, banks: Mapping[int, int]) -> Event:
    """TCG_PCR_EVENT2, section 10.2.2: a digest for every bank of the Spec ID event, each once."""
    start = reader.offset
    register, kind = reader.number(4, "pcrIndex"), reader.number(4, "eventType")
    at = reader.offset
    count = reader.number(4, "digests.count")
    if count != len(banks):
        raise reader.fail(f"digests.count is {count}, want {len(banks)}", at)
    digests: dict[int, bytes] = {}
    for _ in range(count):
        at = reader.offset
        algorithm = reader.number(2, "hashAlg")
        if algorithm not in banks or algorithm in digests:
            raise reader.fail(f"hashAlg is {algorithm:#06x}, want each of the Spec ID event once", at)
        digests[algorithm] = reader.take(banks[algorithm], "digest")
    return Event(offset=start, register=register, type=kind, digests=digests, data=reader.event_data())


def _spec_id(first: Event, what: str) -> SpecId:
    """TCG_EfiSpecIdEvent, section 10.4.5.1; offsets in errors are those of the log."""
    if first.type != EventType.EV_NO_ACTION:
        raise MalformedError(what, f"eventType of the first event is {first.type:#x}, want 0x3", offset=4)
    if any(first.digests[SHA1]):
        raise MalformedError(what, "the digest of the Spec ID event is not zero", offset=8)
    # The reader sees the log up to the end of this event, so that a list cannot run out of it.
    reader = _Reader(bytes(32) + first.data, what)
    reader.offset = 32
    if reader.take(16, "signature") != _SPEC_ID_SIGNATURE:
        raise MalformedError(what, "does not begin with a Spec ID Event03", offset=32)
    platform_class = reader.number(4, "platformClass")
    minor, major, errata, uintn_size = reader.take(4, "specVersion")
    at = reader.offset
    count = reader.number(4, "numberOfAlgorithms")
    if not 1 <= count <= MAX_BANKS:
        raise reader.fail(f"numberOfAlgorithms is {count}, want 1 to {MAX_BANKS}", at)
    banks: dict[int, int] = {}
    for _ in range(count):
        at = reader.offset
        algorithm, size = reader.number(2, "algorithmId"), reader.number(2, "digestSize")
        if algorithm in banks or not 1 <= size <= _MAX_DIGEST or DIGEST_BYTES.get(algorithm, size) != size:
            raise reader.fail(f"algorithm {algorithm:#06x} with {size} bytes is wrong or there twice", at)
        banks[algorithm] = size
    vendor = reader.take(reader.number(1, "vendorInfoSize"), "vendorInfo")
    if reader.offset != len(reader.data):
        raise reader.fail("has bytes behind vendorInfo")
    return SpecId(
        version=(major, minor, errata),
        platform_class=platform_class,
        uintn_size=uintn_size,
        banks=banks,
        vendor=vendor,
    )


def extend(algorithm: int, value: bytes, digest: bytes) -> bytes:
    """Return H(value ‖ digest), what a register holds after an extend. `algorithm` is a key of DIGEST_BYTES
    for which this machine has the hash (not SM3): KeyError otherwise, a mistake of the caller.
    """
    return hashlib.new(_HASH_NAMES[algorithm], value + digest, usedforsecurity=False).digest()


def hash_of(algorithm: int, data: bytes) -> bytes:
    """Return the digest of `data`; the same algorithms as `extend`."""
    return hashlib.new(_HASH_NAMES[algorithm], data, usedforsecurity=False).digest()


def replay(events: Iterable[Event], algorithm: int, start: Mapping[int, bytes]) -> Mapping[int, bytes]:
    """Return what the extended registers hold, by index; each begins as `start` says, otherwise as zeros."""
    values: dict[int, bytes] = dict(start)
    zero = bytes(DIGEST_BYTES[algorithm])
    for event in events:
        if event.extends:
            before = values.get(event.register, zero)
            values[event.register] = extend(algorithm, before, event.digests[algorithm])
    return values
