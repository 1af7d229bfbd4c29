"""What Intel certified about a platform: the SGX extensions of a PCK certificate. Pure.

Intel SGX PCK Certificate and CRL Profile Specification 1.5, section 1.3.5: SEQUENCE OF SEQUENCE {OID, value}
under 1.2.840.113741.1.13.1. DER has one spelling; another one, a name that comes twice or one that is
missing is malformed. Names that Intel may add are passed over: the certificate is Intel's by then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runtime.attestation.x509_path import Certificate
from runtime.errors import MalformedError

OID = "1.2.840.113741.1.13.1"
_PREFIX = bytes.fromhex("2a864886f84d010d01")  # the same, DER
_PPID, _TCB, _PCE_ID, _FMSPC, _SGX_TYPE, _INSTANCE, _CONFIGURATION = (bytes([n]) for n in range(1, 8))
_COMPONENTS, _PCE_SVN, _CPU_SVN = 16, 17, 18
_OPTIONAL_FLAGS = ("dynamic_platform", "cached_keys", "smt_enabled")
_INTEGER, _OCTETS, _OBJECT_ID, _ENUMERATED, _SEQUENCE, _BOOLEAN = 0x02, 0x04, 0x06, 0x0A, 0x30, 0x01
_WHAT = "SGX extension of the PCK certificate"


@dataclass(frozen=True, slots=True, kw_only=True)
class PckClaims:
    """The certified facts about one machine at one TCB level."""

    ppid: bytes  # 16: names the processor package
    components: tuple[int, ...]  # 16 SVNs, 0..255
    pce_svn: int  # 0..65535
    cpu_svn: bytes  # 16
    pce_id: bytes  # 2
    fmspc: bytes  # 6
    sgx_type: int  # 0 standard, 1 scalable, 2 scalable with integrity
    platform_instance: bytes | None  # 16; scalable platforms only
    dynamic_platform: bool | None  # packages may be added; None where the certificate is silent
    cached_keys: bool | None  # Intel keeps the platform root keys
    smt_enabled: bool | None


def read(certificate: Certificate) -> PckClaims:
    """Read the extension. Raises: MalformedError."""
    value = certificate.unrecognised.get(OID)
    if value is None:
        raise MalformedError(_WHAT, "is missing")
    fields = _named(_Der(value, 0, len(value)).only(_SEQUENCE), b"")
    tcb = _named(_part(fields, _TCB, _SEQUENCE), _TCB)
    flags = dict.fromkeys(_OPTIONAL_FLAGS) if _CONFIGURATION not in fields else _flags(fields)
    return PckClaims(
        ppid=_octets(fields, _PPID, 16),
        components=tuple(_integer(tcb, n, 0xFF) for n in range(1, _COMPONENTS + 1)),
        pce_svn=_integer(tcb, _PCE_SVN, 0xFFFF),
        cpu_svn=_octets(tcb, bytes([_CPU_SVN]), 16),
        pce_id=_octets(fields, _PCE_ID, 2),
        fmspc=_octets(fields, _FMSPC, 6),
        sgx_type=_number(_part(fields, _SGX_TYPE, _ENUMERATED), 2),
        platform_instance=_octets(fields, _INSTANCE, 16) if _INSTANCE in fields else None,
        dynamic_platform=flags["dynamic_platform"],
        cached_keys=flags["cached_keys"],
        smt_enabled=flags["smt_enabled"],
    )


class _Der:
    """A window of DER; offsets in errors are those of the whole extension."""

    def __init__(self, data: bytes, start: int, end: int) -> None:
        self.data, self.offset, self.end = data, start, end

    def fail(self, message: str) -> MalformedError:
        return MalformedError(_WHAT, message, offset=self.offset)

    def element(self) -> tuple[int, _Der]:
        """Return tag and content of the next element: definite, shortest length, one-byte tag."""
        start = self.offset
        if start + 2 > self.end:
            raise self.fail("ends inside an element")
        tag, size, head = self.data[start], self.data[start + 1], 2
        if size >= 0x80:
            count = size & 0x7F
            head += count
            size = int.from_bytes(self.data[start + 2 : start + head], "big")
            if not 1 <= count <= 2 or size < (0x80, 0x100)[count - 1]:
                raise self.fail("has a length that is not in DER")
        if start + head + size > self.end:
            raise self.fail(f"has an element of {size} bytes that runs over its end")
        self.offset = start + head + size
        return tag, _Der(self.data, start + head, self.offset)

    def only(self, tag: int) -> _Der:
        """Return the content of the one element that fills the window."""
        found, content = self.element()
        if found != tag or self.offset != self.end:
            raise self.fail(f"has an element {found:#04x} where one {tag:#04x} alone is wanted")
        return content

    @property
    def content(self) -> bytes:
        return self.data[self.offset : self.end]


def _named(sequence: _Der, below: bytes) -> dict[bytes, _Der]:
    """Read SEQUENCE OF SEQUENCE {OID, value} by what follows the common prefix in the OID."""
    prefix, found = _PREFIX + below, dict[bytes, _Der]()
    while sequence.offset < sequence.end:
        tag, pair = sequence.element()
        if tag != _SEQUENCE:
            raise sequence.fail(f"has an element {tag:#04x}, want a SEQUENCE")
        tag, name = pair.element()
        if tag != _OBJECT_ID or not name.content.startswith(prefix):
            raise pair.fail("has a name outside Intel's arc")
        key = name.content.removeprefix(prefix)
        if key in found:
            raise pair.fail(f"has the name {key.hex()} twice")
        found[key] = pair
    return found


def _part(fields: Mapping[bytes, _Der], name: bytes, tag: int) -> _Der:
    window = fields.get(name)
    if window is None:
        raise MalformedError(_WHAT, f"lacks the field {name.hex()}")
    return window.only(tag)


def _octets(fields: Mapping[bytes, _Der], name: bytes, size: int) -> bytes:
    value = _part(fields, name, _OCTETS)
    if len(value.content) != size:
        raise value.fail(f"field {name.hex()} is {len(value.content)} bytes, want {size}")
    return value.content


def _integer(fields: Mapping[bytes, _Der], name: int, most: int) -> int:
    return _number(_part(fields, bytes([name]), _INTEGER), most)


def _number(value: _Der, most: int) -> int:
    content = value.content
    number = int.from_bytes(content, "big")
    if number > most or content != number.to_bytes(number.bit_length() // 8 + 1, "big"):
        raise value.fail(f"has the number {content[:8].hex()}, want 0 to {most} in DER")
    return number


def _flags(fields: Mapping[bytes, _Der]) -> dict[str, bool | None]:
    found = _named(_part(fields, _CONFIGURATION, _SEQUENCE), _CONFIGURATION)
    flags: dict[str, bool | None] = {}
    for number, name in enumerate(_OPTIONAL_FLAGS, start=1):
        key = bytes([number])
        flags[name] = _boolean(_part(found, key, _BOOLEAN)) if key in found else None
    return flags


def _boolean(value: _Der) -> bool:
    if value.content not in (b"\0", b"\xff"):
        raise value.fail("has a BOOLEAN that is not in DER")
    return value.content == b"\xff"
