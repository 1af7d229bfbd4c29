"""Registers: read them all, quote what was read, and extend one exactly once. I/O through `Tpm`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runtime.attestation.attester.tpm.commands import Key, Tpm
from runtime.attestation.tees.tpm import attest
from runtime.attestation.tees.tpm.attest import BANK_NAMES, DIGEST_BYTES
from runtime.attestation.tees.tpm.pcrs import PcrValues
from runtime.errors import UnreachableError, UnsupportedTeeError

SETTINGS_REGISTER = 14  # only a full restart resets it
ATTEMPTS = 6  # reads and quotes between which somebody extended a register


@dataclass(frozen=True, slots=True, kw_only=True)
class Quoted:
    """One quote, and the very values that it is about."""

    message: bytes  # TPMS_ATTEST
    signature: bytes  # TPMT_SIGNATURE
    values: PcrValues


def read(tpm: Tpm, bank: int, registers: Sequence[int]) -> PcrValues:
    """Return registers of one bank as they were at one moment.

    Raises: UnsupportedTeeError (the bank or a register is not there), UnreachableError (they keep changing).
    """
    for _ in range(ATTEMPTS):
        found = _one_pass(tpm, bank, registers)
        if found is not None:
            return found
    message = f"somebody extends registers all the time: no consistent reading in {ATTEMPTS} attempts"
    raise UnreachableError(message)


def _one_pass(tpm: Tpm, bank: int, registers: Sequence[int]) -> PcrValues | None:
    values: dict[int, bytes] = {}
    counter = None
    while left := [index for index in registers if index not in values]:
        now, some = tpm.read_registers(bank, left)
        if counter not in {None, now}:
            return None
        counter = now
        if not some or not set(some) <= set(left):
            name = BANK_NAMES.get(bank, f"{bank:#06x}")
            message = f"this TPM has no PCR {left[0]} in its {name} bank: enable the bank in the firmware"
            raise UnsupportedTeeError(message)
        values |= some
    return PcrValues(bank=bank, values=values)


def quote(tpm: Tpm, key: Key, qualifying_data: bytes, bank: int, registers: Sequence[int]) -> Quoted:
    """Return a quote together with the values that its pcrDigest is of.

    Raises: UnreachableError if a register changed between reading and quoting each time; TpmError.
    """
    for _ in range(ATTEMPTS):
        values = read(tpm, bank, registers)
        quoted, signature = tpm.quote(key, qualifying_data, bank, registers)
        algorithm = {size: number for number, size in DIGEST_BYTES.items()}
        digest = attest.parse(quoted).pcr_digest
        if values.digest(algorithm.get(len(digest), attest.SHA256)) == digest:
            return Quoted(message=quoted, signature=signature, values=values)
    message = f"the quoted registers are not those that were read, in {ATTEMPTS} attempts"
    raise UnreachableError(message)


def measure_settings(tpm: Tpm, settings_digest: bytes) -> None:
    """Record the settings in PCR14, once: what the boot chain calls before anything uses them.

    `settings_digest` is 32 bytes. The SHA-256 bank takes the digest itself, every other bank its own hash of
    it (docs/protocol.md, section 2). Raises: as `extend_once`.
    """
    digests = {
        bank: settings_digest
        if bank == attest.SHA256
        else hashlib.new(name, settings_digest, usedforsecurity=False).digest()
        for bank, name in BANK_NAMES.items()
    }
    extend_once(tpm, SETTINGS_REGISTER, digests)


def extend_once(tpm: Tpm, register: int, digests: Mapping[int, bytes]) -> None:
    """Make a register the record of one event: zero before, one digest in each bank after.

    `digests` has one for every bank that this program knows, by TPM_ALG_ID; those in use are extended, by one
    command. A bank left out would stay zero, and who reads that one would see no event.
    Raises: UnsupportedTeeError (the register was not zero, or somebody extended it too: this boot proves
    nothing and must not go on), TpmError, UnreachableError.
    """
    used = sorted(bank for bank, has in tpm.banks().items() if register in has and bank in digests)
    if attest.SHA256 not in used:
        message = f"this TPM has no PCR {register} in a SHA-256 bank: enable the bank in the firmware"
        raise UnsupportedTeeError(message)
    for bank in used:
        value = read(tpm, bank, (register,)).values[register]
        if any(value):
            message = (
                f"PCR {register} is {value.hex()[:32]}… in the {BANK_NAMES[bank]} bank, want zero: something "
                "was measured into it before; restart the machine, and find out what runs before us"
            )
            raise UnsupportedTeeError(message)
    tpm.extend(register, {bank: digests[bank] for bank in used})
    for bank in used:
        value = read(tpm, bank, (register,)).values[register]
        if value != extended(bank, digests[bank]):
            message = (
                f"PCR {register} holds another event than ours in the {BANK_NAMES[bank]} bank: something "
                "extended it at the same time; restart the machine, and find out what runs beside us"
            )
            raise UnsupportedTeeError(message)


def extended(bank: int, digest: bytes) -> bytes:
    """Return what a register that was zero holds after one event."""
    return hashlib.new(BANK_NAMES[bank], bytes(DIGEST_BYTES[bank]) + digest, usedforsecurity=False).digest()
