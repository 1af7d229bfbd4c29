"""The hello: what each side says of itself before any evidence (docs/protocol.md §4). Pure.

    offset size  field
         0    4  magic "CTH1"
         4    1  role: 1 client, 2 server, 3 owner
         5    4  epoch
         9   32  nonce
        41    8  time, Unix seconds, as the sender's trusted clock reads
        49    8  fleet document version
        57   32  fleet document digest, SHA-256 of the signed payload
        89   32  settings digest; an owner has none: zero
       121    1  number n of evidence formats, 1 to 16
       122    n  evidence formats the sender can appraise (codes: `Format`)

All integers are big-endian. A hello never carries a name: the settings digest finds the member.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from runtime.errors import MalformedError

MAGIC = b"CTH1"
_FIXED = struct.Struct(">4sBI32sQQ32s32sB")
MAX_FORMATS = 16
MAX_SIZE = _FIXED.size + MAX_FORMATS  # 138 bytes
WHAT = "hello"


class Side(IntEnum):
    """Who speaks; the values are on the wire."""

    CLIENT = 1
    SERVER = 2
    OWNER = 3

    @property
    def article(self) -> str:
        """The role in a sentence."""
        return "an owner" if self is Side.OWNER else f"a {self.name.lower()}"

    @property
    def other(self) -> Side:
        """Whom a member has sessions with. An owner meets either, so this is not asked of one."""
        return Side.SERVER if self is Side.CLIENT else Side.CLIENT


class Format(IntEnum):
    """Evidence formats, as `attestation.formats` names and numbers them; the values are on the wire."""

    SEV_SNP = 1
    AWS_SNP_NITROTPM = 2
    AZURE_SNP = 3
    AZURE_TDX = 4
    GCP_SNP = 5
    GCP_TDX = 6
    QEMU_TPM = 7
    AWS_NITROTPM = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """One side's hello. Sizes as in the table above."""

    side: Side
    epoch: int
    nonce: bytes
    time: int
    document_version: int
    document_digest: bytes
    settings_digest: bytes
    formats: tuple[Format, ...]


def encode(hello: Hello) -> bytes:
    """Return the wire form."""
    return _FIXED.pack(
        MAGIC,
        hello.side,
        hello.epoch,
        hello.nonce,
        hello.time,
        hello.document_version,
        hello.document_digest,
        hello.settings_digest,
        len(hello.formats),
    ) + bytes(hello.formats)


def decode(data: bytes) -> Hello:
    """Read the wire form. Raises: MalformedError."""
    if len(data) < _FIXED.size:
        raise MalformedError(WHAT, f"is {len(data)} bytes, want at least {_FIXED.size}")
    magic, side, epoch, nonce, time, version, digest, settings, count = _FIXED.unpack_from(data)
    if magic != MAGIC:
        raise MalformedError(WHAT, f"starts with {magic!r}, want {MAGIC!r}", offset=0)
    if side not in tuple(Side):
        raise MalformedError(WHAT, f"role is {side}, want 1, 2 or 3", offset=4)
    if not 1 <= count <= MAX_FORMATS:
        raise MalformedError(WHAT, f"has {count} evidence formats, want 1 to {MAX_FORMATS}", offset=121)
    if len(data) != _FIXED.size + count:
        raise MalformedError(WHAT, f"is {len(data)} bytes, want {_FIXED.size + count}")
    # A format we do not know is not an error: the peer may be newer. It is simply not usable.
    known = tuple(Format(value) for value in data[_FIXED.size :] if value in tuple(Format))
    return Hello(
        side=Side(side),
        epoch=epoch,
        nonce=nonce,
        time=time,
        document_version=version,
        document_digest=digest,
        settings_digest=settings,
        formats=known,
    )
