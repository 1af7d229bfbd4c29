"""The words of attestation as types: what is believed at each step has a type of its own. Pure.

    Evidence            the peer's bytes: believe nothing
    Claims              what the hardware said, made only by `tees`, after its signature and chain held
    AttestationResult   what the owner accepts, made only by `policy`

Evidence on the wire (docs/protocol.md, Evidence); integers are big-endian:

    | bytes | field                                                                     |
    |-------|---------------------------------------------------------------------------|
    | 4     | "CTE1"                                                                    |
    | 1 + n | length and name of the format, ASCII                                      |
    | then, per item, in ascending order of (kind, name), so that no item comes twice:  |
    | 1     | kind: 1 a signed part, 2 an endorsement                                   |
    | 1 + n | length and name, ASCII: one of those the format knows                     |
    | 4 + n | length and bytes, 1 up to what `formats` says of this item                  |
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, TypeVar

from runtime.attestation.formats import FORMATS, Format
from runtime.documents.fleet import Grade, Role
from runtime.documents.reference_values import SnpProduct
from runtime.errors import MalformedError, TunnelError, UnsupportedFormatError

MAX_EVIDENCE_SIZE = 256 * 1024  # bytes; an SNP report with its chain is under 16 KiB, a log under 128 KiB

T = TypeVar("T")
_MAGIC = b"CTE1"
_PART, _ENDORSEMENT = 1, 2
_WHAT = "evidence"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What an Attester hands over: signed parts, and the Endorsements that travel with them."""

    format: str
    parts: Mapping[str, bytes]
    endorsements: Mapping[str, bytes]


def encode(evidence: Evidence) -> bytes:
    """Return the wire form. Raises: MalformedError for an unknown format or name, or too many bytes."""
    _check_names(evidence)
    name = evidence.format.encode("ascii")
    out = [_MAGIC, bytes([len(name)]), name]
    for kind, items in ((_PART, evidence.parts), (_ENDORSEMENT, evidence.endorsements)):
        for item, value in sorted(items.items()):
            out.append(
                struct.pack(">BB", kind, len(item)) + item.encode("ascii") + struct.pack(">I", len(value))
            )
            out.append(value)
    data = b"".join(out)
    if len(data) > MAX_EVIDENCE_SIZE:
        raise MalformedError(_WHAT, f"is {len(data)} bytes, want at most {MAX_EVIDENCE_SIZE}")
    return data


def decode(data: bytes) -> Evidence:
    """Read the wire form: exactly one spelling, nothing behind it. Raises: MalformedError."""
    if len(data) > MAX_EVIDENCE_SIZE:
        raise MalformedError(_WHAT, f"is {len(data)} bytes, want at most {MAX_EVIDENCE_SIZE}")
    reader = _Reader(data)
    if reader.take(4, "the magic") != _MAGIC:
        raise MalformedError(_WHAT, "does not begin with CTE1", offset=0)
    name = reader.name()
    known = _known(name)
    items: dict[int, dict[str, bytes]] = {_PART: {}, _ENDORSEMENT: {}}
    last = (0, "")
    while reader.offset < len(data):
        start = reader.offset
        kind = reader.take(1, "a kind")[0]
        if kind not in items:
            raise MalformedError(_WHAT, f"has an item of kind {kind}, want 1 or 2", offset=start)
        item = reader.name()
        if (kind, item) <= last:
            raise MalformedError(_WHAT, f"has {item!r} twice or out of order", offset=start)
        last = (kind, item)
        size, most = int.from_bytes(reader.take(4, "a length"), "big"), _most(known, kind, item)
        if not 1 <= size <= most:
            raise MalformedError(_WHAT, f"{item} is {size} bytes, want 1 to {most}", offset=start)
        items[kind][item] = reader.take(size, item)
    evidence = Evidence(format=name, parts=items[_PART], endorsements=items[_ENDORSEMENT])
    _check_names(evidence)
    return evidence


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.offset = data, 0

    def take(self, size: int, what: str) -> bytes:
        end = self.offset + size
        if end > len(self.data):
            raise MalformedError(_WHAT, f"ends inside {what}", offset=self.offset)
        start, self.offset = self.offset, end
        return self.data[start:end]

    def name(self) -> str:
        start = self.offset
        raw = self.take(self.take(1, "a name's length")[0], "a name")
        if not raw.isascii() or not raw:
            raise MalformedError(_WHAT, "has a name that is empty or not ASCII", offset=start)
        return raw.decode("ascii")


def _known(name: str) -> Format:
    known = FORMATS.get(name)
    if known is None:
        raise UnsupportedFormatError(_WHAT, f"has the format {name!r}, want one of {sorted(FORMATS)}")
    return known


def _most(known: Format, kind: int, item: str) -> int:
    """Return how many bytes the item may have. Raises: MalformedError for a name the format does not know."""
    most = (known.parts if kind == _PART else known.endorsements).get(item)
    if most is None:
        what = "part" if kind == _PART else "endorsement"
        raise MalformedError(_WHAT, f"has the unknown {what} {item!r}")
    return most


def _check_names(evidence: Evidence) -> None:
    known = _known(evidence.format)
    if set(evidence.parts) != set(known.parts):
        raise MalformedError(_WHAT, f"has the parts {sorted(evidence.parts)}, want {sorted(known.parts)}")
    for kind, items in ((_PART, evidence.parts), (_ENDORSEMENT, evidence.endorsements)):
        for item, value in items.items():
            if not 1 <= len(value) <= _most(known, kind, item):
                raise MalformedError(
                    _WHAT, f"{item} is {len(value)} bytes, want 1 to {_most(known, kind, item)}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class EndorsementRef:
    """One endorsement that the evidence lacks: the name it travels under, and where AMD's KDS keeps it."""

    name: str
    path: str  # of AMD's key distribution service (AMD 57230), without scheme and host


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustRoot:
    """A root certificate by the SHA-256 of its DER; whatever chains to a `test` root is grade T."""

    kind: Literal["hardware", "test"]
    vendor: Literal["amd"]
    product: SnpProduct
    sha256: bytes  # 32


class Reason(StrEnum):
    """Why a check fails: what code, tests, logs and metrics share. Sentences are for people."""

    MALFORMED = "malformed"
    DOCUMENT = "document"
    MEMBER = "member"
    ROLE = "role"
    INSTANCE = "instance"
    SETTINGS = "settings"
    BINDING = "binding"
    CHAIN = "chain"
    SIGNATURE = "signature"
    EXPIRED = "expired"
    REVOKED = "revoked"
    REVOCATION_UNKNOWN = "revocation_unknown"
    CHIP_ID = "chip_id"
    CSP_ID = "csp_id"
    TCB = "tcb"
    PRODUCT = "product"
    KNOWN_WEAK = "known_weak"
    VERSION = "version"
    SIGNER = "signer"
    DEBUG = "debug"
    MIGRATION = "migration"
    VMPL = "vmpl"
    GUEST_POLICY = "guest_policy"
    PLATFORM = "platform"
    GUEST_SVN = "guest_svn"
    SIGNING_KEYS = "signing_keys"
    MITIGATIONS = "mitigations"
    MEASUREMENT = "measurement"
    IMAGE = "image"
    REGION = "region"
    EVENT_LOG = "event_log"
    GRADE = "grade"
    PURPOSE = "purpose"


Text = str | Callable[[], str]  # a sentence, or how to make one: most are never asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that did not hold: what was wanted, what was found, who vouches for what was found."""

    id: str
    reason: Reason
    expected: str
    actual: str
    source: str
    remedy: str


@dataclass(slots=True)
class Findings:
    """Collects the checks that fail, so that a refusal names every one of them and not only the first.

    What holds leaves no trace: an appraisal makes up to fifty checks, and a record of each took 2 us.
    """

    checks: list[Check] = field(default_factory=list)

    def require(  # the fields of a Check, one by one, so that no call can leave one out
        self,
        ok: bool,  # noqa: FBT001 - what is required reads best first
        check: str,
        reason: Reason,
        *,
        expected: Text,
        actual: Text,
        source: Text,
        remedy: str,
    ) -> bool:
        """Note one check if it fails; returns `ok` for the steps that make sense only after it."""
        if not ok:
            texts = {"expected": _said(expected), "actual": _said(actual), "source": _said(source)}
            self.checks.append(Check(id=check, reason=reason, remedy=remedy, **texts))
        return ok

    def failed(self) -> tuple[Check, ...]:
        """Return the failed checks, in order."""
        return tuple(self.checks)

    def settle(self) -> None:
        """Raises: EvidenceRefusedError if any check failed."""
        if failed := self.failed():
            raise EvidenceRefusedError(failed)

    def held(self, value: T | None) -> T:
        """Settle, and return what the checks were about. Raises: EvidenceRefusedError, MalformedError.

        What is missing has left a failed check; should that have been forgotten, this refuses all the same.
        """
        self.settle()
        if value is None:
            raise MalformedError(_WHAT, "has a part that did not hold")
        return value


def _said(text: Text) -> str:
    return text if isinstance(text, str) else text()


class EvidenceRefusedError(TunnelError):
    """Evidence was read and is refused: every failed check of the stage that refused it."""

    exit_status = 10
    code = "evidence_refused"

    def __init__(self, checks: Iterable[Check]) -> None:
        self.checks = tuple(checks)
        super().__init__("evidence refused\n" + "\n".join(explain(self.checks)))

    @property
    def reasons(self) -> frozenset[Reason]:
        """Why, without the sentences."""
        return frozenset(check.reason for check in self.checks)

    def __reduce__(self) -> tuple[object, ...]:
        return (EvidenceRefusedError, (self.checks,))


def explain(checks: Iterable[Check]) -> list[str]:
    """Return one aligned line per check."""
    rows = list(checks)
    width = max((len(check.id) for check in rows), default=0)
    return [
        f"  {check.id:<{width}}  is {check.actual}, want {check.expected} (according to {check.source}); "
        f"hint: {check.remedy}"
        for check in rows
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tcb:
    """Security version numbers of a chip's firmware parts (AMD 56860, TCB_VERSION), 0..255 each."""

    fmc: int | None  # Turin and later only
    bootloader: int
    tee: int
    snp: int
    microcode: int

    def components(self) -> dict[str, int]:
        """Return the parts this product has, by the names the fleet document uses."""
        parts = {} if self.fmc is None else {"fmc": self.fmc}
        return parts | {
            "bootloader": self.bootloader,
            "tee": self.tee,
            "snp": self.snp,
            "microcode": self.microcode,
        }

    def reaches(self, floor: Mapping[str, int]) -> bool:
        """Tell whether every part of `floor` exists here and is not below it."""
        mine = self.components()
        return all(name in mine and mine[name] >= least for name, least in floor.items())

    def __str__(self) -> str:
        return " ".join(f"{name} {value}" for name, value in self.components().items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a genuine chip signed; field names as in AMD 56860, table 23. Made by `tees` alone."""

    tee: Literal["snp"]
    product: SnpProduct
    report_version: int
    guest_svn: int
    policy: int  # 64 bits
    platform_info: int  # 64 bits
    vmpl: int
    report_data: bytes  # 64
    measurement: bytes  # 48
    host_data: bytes  # 32
    id_key_digest: bytes  # 48
    author_key_digest: bytes  # 48
    author_key_en: bool
    report_id_ma: bytes  # 32
    chip_id: bytes  # 64; zeros when a VLEK signed
    signer: Literal["vcek", "vlek"]
    csp_id: str | None  # of a VLEK: which cloud, and where
    current_tcb: Tcb
    reported_tcb: Tcb
    committed_tcb: Tcb
    launch_tcb: Tcb
    current_version: tuple[int, int, int]  # firmware: major, minor, build
    committed_version: tuple[int, int, int]
    mitigations: tuple[int, int] | None  # launch and current vectors; None before report version 5
    root: TrustRoot
    revocation_checked: bool
    endorsed_until: int  # Unix seconds: the first moment at which an endorsement is no longer valid
    newest_endorsement: int  # Unix seconds: the newest signed timestamp among the endorsements


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One claim that was accepted, and who measured or vouches for it."""

    claim: str
    value: str
    measured_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedWaiver:
    """A named exception of the owner's that let a failed check pass."""

    name: str
    check: str
    reason: str
    not_after: int  # Unix seconds
    actual: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationResult:
    """The owner's law accepts this peer: who it is, and on whose word. Made by `policy` alone."""

    member: str
    role: Role
    format: str  # of the evidence
    grade: Grade  # who measured the image
    instance_grade: Grade  # who says which machine this is; on Google's TDX another one
    purpose: Literal["production", "test"]
    image: str | None  # None only under a waiver of image.measured
    instance: str
    statements: tuple[Statement, ...]
    not_proven: tuple[str, ...]
    waivers: tuple[AppliedWaiver, ...]
    warnings: tuple[str, ...]
    evidence_sha256: bytes  # 32
    document_sha256: bytes  # 32
    document_version: int
    appraised_at: int  # Unix seconds
    endorsed_until: int  # Unix seconds; attest again before
    newest_endorsement: int  # Unix seconds; no clock of ours may be behind it
