"""The register values that go with a quote: the TPM signs their hash only. Pure.

Wire form (ours; integers are big-endian), exactly one bank:

    | bytes | field                                                            |
    |-------|------------------------------------------------------------------|
    | 2     | TPM_ALG_ID of the bank                                           |
    | 3     | which registers, as TPMS_PCR_SELECTION has them: bit 0 of byte 0 is PCR 0 |
    | n · d | their values in ascending order, each as long as the bank's digest |

Nothing here is believed until a quote's pcrDigest says the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from runtime.attestation.tees.tpm.attest import BANK_NAMES, DIGEST_BYTES, REGISTERS, Reader
from runtime.errors import MalformedError

_SELECT_BYTES = REGISTERS // 8
_MAX_SIZE = 2 + _SELECT_BYTES + REGISTERS * 64
_WHAT = "PCR values"


@dataclass(frozen=True, slots=True, kw_only=True)
class PcrValues:
    """The values of some registers of one bank."""

    bank: int  # TPM_ALG_ID, a key of DIGEST_BYTES
    values: Mapping[int, bytes]

    def __post_init__(self) -> None:
        size = DIGEST_BYTES.get(self.bank)
        if size is None:
            raise MalformedError(_WHAT, f"bank is {self.bank:#06x}, want one of {sorted(DIGEST_BYTES)}")
        if not self.values:
            raise MalformedError(_WHAT, "name no register")
        for index, value in self.values.items():
            if not 0 <= index < REGISTERS or len(value) != size:
                raise MalformedError(_WHAT, f"PCR {index} has {len(value)} bytes, want {size} in PCR 0 to 23")

    @property
    def bank_name(self) -> str:
        """The bank as people write it: sha256."""
        return BANK_NAMES[self.bank]

    def digest(self, algorithm: int) -> bytes:
        """Return what pcrDigest must be: the hash of the values in ascending order (Part 3, TPM2_Quote)."""
        joined = b"".join(self.values[index] for index in sorted(self.values))
        return hashlib.new(BANK_NAMES[algorithm], joined, usedforsecurity=False).digest()


def encode(pcrs: PcrValues) -> bytes:
    """Return the wire form."""
    bits = sum(1 << index for index in pcrs.values)
    head = pcrs.bank.to_bytes(2, "big") + bits.to_bytes(_SELECT_BYTES, "little")
    return head + b"".join(pcrs.values[index] for index in sorted(pcrs.values))


def parse(data: bytes) -> PcrValues:
    """Read the wire form: one bank, nothing behind it. Raises: MalformedError."""
    reader = Reader(data, _WHAT, _MAX_SIZE)
    bank = reader.number(2, "bank")
    size = DIGEST_BYTES.get(bank)
    if size is None:
        raise reader.fail(f"bank is {bank:#06x}, want one of {sorted(DIGEST_BYTES)}", 0)
    bits = int.from_bytes(reader.take(_SELECT_BYTES, "registers"), "little")
    if not bits:
        raise reader.fail("registers selects none", 2)
    values = {index: reader.take(size, f"PCR {index}") for index in range(REGISTERS) if bits >> index & 1}
    reader.end()
    return PcrValues(bank=bank, values=values)
