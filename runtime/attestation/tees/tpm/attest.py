"""What a TPM signs when it is asked for a quote: TPMS_ATTEST, every byte of it looked at. Pure.

TCG "Trusted Platform Module Library Part 2: Structures", revision 1.59, sections 10.12.8 and 10.12.12 (the
numbers of tables and sections below are of that document). Integers are big-endian. What the fields say is
not judged here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from runtime.errors import MalformedError

GENERATED_VALUE = 0xFF544347  # TPM_GENERATED_VALUE, 6.2: no TPM signs other data that begins so
ST_ATTEST_QUOTE = 0x8018  # TPM_ST, table 19

# TPM_ALG_ID, table 9
SHA1, SHA256, SHA384, SHA512 = 0x0004, 0x000B, 0x000C, 0x000D
DIGEST_BYTES: Mapping[int, int] = MappingProxyType({SHA1: 20, SHA256: 32, SHA384: 48, SHA512: 64})
BANK_NAMES: Mapping[int, str] = MappingProxyType(
    {SHA1: "sha1", SHA256: "sha256", SHA384: "sha384", SHA512: "sha512"}
)

MAX_NAME_BYTES = 66  # TPM2B_NAME: TPMT_HA, a TPM_ALG_ID and a digest of at most 64 bytes
MAX_DATA_BYTES = 66  # TPM2B_DATA, 10.4.3: sizeof(TPMT_HA)
MAX_DIGEST_BYTES = 64  # TPM2B_DIGEST, 10.4.2
MAX_BANKS = 16  # HASH_COUNT of TPML_PCR_SELECTION; real ones have one to five
REGISTERS = 24  # a PC client's TPM has PCR 0 to 23
MAX_QUOTE_SIZE = 1024  # bytes; the largest that these limits allow is under 400
_WHAT = "TPM quote"


class Reader:
    """Takes big-endian fields off bytes that somebody else wrote; every error names field and offset."""

    def __init__(self, data: bytes, what: str, max_size: int) -> None:
        if len(data) > max_size:
            raise MalformedError(what, f"is {len(data)} bytes, want at most {max_size}")
        self._data, self._what, self.offset = data, what, 0

    def take(self, size: int, field: str) -> bytes:
        """Return the next `size` bytes. Raises: MalformedError."""
        start, end = self.offset, self.offset + size
        if end > len(self._data):
            raise self.fail(f"{field} needs {size} bytes, {len(self._data) - start} are left", start)
        self.offset = end
        return self._data[start:end]

    def number(self, size: int, field: str) -> int:
        """Return an unsigned integer of `size` bytes. Raises: MalformedError."""
        return int.from_bytes(self.take(size, field), "big")

    def sized(self, most: int, field: str) -> bytes:
        """Return the bytes of a TPM2B: a length of 2 bytes, then at most `most`. Raises: MalformedError."""
        start = self.offset
        size = self.number(2, f"{field}.size")
        if size > most:
            raise self.fail(f"{field}.size is {size}, want at most {most}", start)
        return self.take(size, field)

    def end(self) -> None:
        """Raises: MalformedError if anything is left."""
        if self.offset != len(self._data):
            raise self.fail(f"has {len(self._data) - self.offset} bytes behind its last field", self.offset)

    def fail(self, message: str, offset: int) -> MalformedError:
        """Return the error to raise."""
        return MalformedError(self._what, message, offset=offset)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """TPMS_PCR_SELECTION, 10.6.2: registers of one bank."""

    bank: int  # TPM_ALG_ID
    registers: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The fields of one quote as they stand: nothing about them is verified."""

    signed: bytes
    qualified_signer: bytes
    qualifying_data: bytes  # extraData: the nonce
    clock: int  # milliseconds that the TPM was powered since it was cleared
    reset_count: int
    restart_count: int
    safe: bool  # no higher clock was ever reported
    firmware_version: int  # 64 bits, vendor-specific
    selections: tuple[Selection, ...]
    pcr_digest: bytes


def parse(data: bytes) -> Quote:
    """Read a quote. Raises: MalformedError."""
    reader = Reader(data, _WHAT, MAX_QUOTE_SIZE)
    if (magic := reader.number(4, "magic")) != GENERATED_VALUE:
        raise reader.fail(f"magic is {magic:#010x}, want {GENERATED_VALUE:#010x}", 0)
    if (kind := reader.number(2, "type")) != ST_ATTEST_QUOTE:
        raise reader.fail(f"type is {kind:#06x}, want {ST_ATTEST_QUOTE:#06x} (a quote)", 4)
    found = Quote(
        signed=data,
        qualified_signer=reader.sized(MAX_NAME_BYTES, "qualifiedSigner"),
        qualifying_data=reader.sized(MAX_DATA_BYTES, "extraData"),
        clock=reader.number(8, "clockInfo.clock"),
        reset_count=reader.number(4, "clockInfo.resetCount"),
        restart_count=reader.number(4, "clockInfo.restartCount"),
        safe=_yes_no(reader, "clockInfo.safe"),
        firmware_version=reader.number(8, "firmwareVersion"),
        selections=_selections(reader),
        pcr_digest=reader.sized(MAX_DIGEST_BYTES, "pcrDigest"),
    )
    reader.end()
    return found


def _yes_no(reader: Reader, field: str) -> bool:
    """TPMI_YES_NO, 9.2: there is no third value."""
    start = reader.offset
    if (value := reader.number(1, field)) > 1:
        raise reader.fail(f"{field} is {value}, want 0 or 1", start)
    return value == 1


def _selections(reader: Reader) -> tuple[Selection, ...]:
    """TPML_PCR_SELECTION, 10.9.7."""
    start = reader.offset
    count = reader.number(4, "pcrSelect.count")
    if count > MAX_BANKS:
        raise reader.fail(f"pcrSelect.count is {count}, want at most {MAX_BANKS}", start)
    return tuple(_selection(reader) for _ in range(count))


def _selection(reader: Reader) -> Selection:
    bank = reader.number(2, "pcrSelect.hash")
    start = reader.offset
    size = reader.number(1, "pcrSelect.sizeofSelect")
    if not 1 <= size <= 4:
        raise reader.fail(f"pcrSelect.sizeofSelect is {size}, want 1 to 4", start)
    bits = int.from_bytes(reader.take(size, "pcrSelect.pcrSelect"), "little")
    if bits >> REGISTERS:
        raise reader.fail(f"pcrSelect selects a register above {REGISTERS - 1}", start)
    return Selection(bank=bank, registers=frozenset(index for index in range(REGISTERS) if bits >> index & 1))
