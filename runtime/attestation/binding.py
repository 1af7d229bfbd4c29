"""The binder: the 64 bytes that tie evidence to one connection, one direction and one epoch. Pure.

    SHA-512( for each part: u16 length ‖ bytes )
    parts = label, direction u8, epoch u32, transcript 32, exporter 32, SPKI of the Attester,
            SPKI of the Verifier, the Verifier's nonce 32, the Attester's settings digest 32

(docs/protocol.md §5; integers big-endian.) It is the REPORT_DATA of an SNP report or TD quote, the user data
of a NitroTPM document and of Azure's runtime data; its SHA-256 is what a TPM quote alone qualifies. Labels
keep one use from passing for another: nothing ever signs caller-chosen bytes.

Where the TPM is outside of what the CPU's report covers (AWS, Google), two parts that carry one binder are
not yet parts of one machine: a rented TEE can be asked for its report and another machine for its quote.
There the quote commits to the report as well (decision 0004).
"""

from __future__ import annotations

import struct
from enum import Enum, IntEnum
from hashlib import sha256, sha512

from runtime.errors import MalformedError

BINDER_BYTES = 64
MAX_SPKI_BYTES = 1024  # an uncompressed P-256 key is 91; leaves room for other kinds


class Label(Enum):
    """What the evidence is asked for."""

    CHANNEL = b"tunnel-binder-channel-v1"
    ENDPOINT = b"tunnel-binder-endpoint-v1"
    OWNER = b"tunnel-binder-owner-v1"


class Direction(IntEnum):
    """Who shows to whom."""

    CLIENT_TO_SERVER = 1
    SERVER_TO_CLIENT = 2
    OWNER_TO_MEMBER = 3
    MEMBER_TO_OWNER = 4


def binder(
    *,
    label: Label,
    direction: Direction,
    epoch: int,
    transcript: bytes,
    exporter: bytes,
    spki_attester: bytes,
    spki_verifier: bytes,
    verifier_nonce: bytes,
    settings_digest: bytes,
) -> bytes:
    """Return the 64-byte binder; the only function that makes one.

    Raises: MalformedError for a part of another length; nothing is padded or cut.
    """
    for name, value in (
        ("transcript", transcript),
        ("exporter", exporter),
        ("nonce", verifier_nonce),
        ("settings digest", settings_digest),
    ):
        if len(value) != 32:
            raise MalformedError("binder", f"{name} is {len(value)} bytes, want 32")
    for name, value in (("SPKI of the Attester", spki_attester), ("SPKI of the Verifier", spki_verifier)):
        if not 1 <= len(value) <= MAX_SPKI_BYTES:
            raise MalformedError("binder", f"{name} is {len(value)} bytes, want 1 to {MAX_SPKI_BYTES}")
    if not 0 <= epoch < 1 << 32:
        raise MalformedError("binder", f"epoch is {epoch}, want 32 bits")
    parts = (
        label.value,
        bytes([direction]),
        struct.pack(">I", epoch),
        transcript,
        exporter,
        spki_attester,
        spki_verifier,
        verifier_nonce,
        settings_digest,
    )
    return sha512(b"".join(struct.pack(">H", len(part)) + part for part in parts)).digest()


def tpm_qualifying(value: bytes) -> bytes:
    """Return what a TPM quote about this binder carries: its SHA-256, 32 bytes (a TPM may take no more)."""
    if len(value) != BINDER_BYTES:
        raise MalformedError("binder", f"is {len(value)} bytes, want {BINDER_BYTES}")
    return sha256(value).digest()


_TIE = b"tunnel-tpm-tie-v1"


def tied_qualifying(value: bytes, report: bytes) -> bytes:
    """Return what a TPM or NitroTPM beside a CPU's report carries, so that it speaks of that very report.

        SHA-256( lp16("tunnel-tpm-tie-v1") ‖ lp16(binder) ‖ lp16(SHA-256 of the SNP report or TD quote) )

    32 bytes. `report` is as it travels: the report is made first. Raises: MalformedError.
    """
    if len(value) != BINDER_BYTES:
        raise MalformedError("binder", f"is {len(value)} bytes, want {BINDER_BYTES}")
    parts = (_TIE, value, sha256(report).digest())
    return sha256(b"".join(struct.pack(">H", len(part)) + part for part in parts)).digest()
