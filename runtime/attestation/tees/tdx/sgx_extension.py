"""What Intel certified about a platform: the SGX extensions of a PCK certificate. Pure.

Intel SGX PCK Certificate and CRL Profile Specification 1.5, section 1.3.5: SEQUENCE OF SEQUENCE {OID, value}
under 1.2.840.113741.1.13.1. DER has one spelling; another one, a name that comes twice or one that is
missing is malformed. Names that Intel may add are passed over: the certificate is Intel's by then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runtime.attestation.certificates import Certificate
from runtime.errors import MalformedError

OID = "1.2.840.113741.1.13.1"
_PREFIX = bytes.fromhex("2a864886f84d010d01")  # the same, DER
_PPID, _TCB, _PCE_ID, _FMSPC, _SGX_TYPE, _INSTANCE, _CONFIGURATION = (bytes([n]) for n in range(1, 8))
_COMPONENTS, _PCE_SVN, _CPU_SVN = 16, 17, 18
_OPTIONAL_FLAGS = ("dynamic_platform", "cached_keys", "smt_enabled")
_INTEGER, _OCTETS, _OBJECT_ID, _ENUMERATED, _SEQUENCE = 0x02, 0x04, 0x06, 0x0A, 0x30
_TRUE, _FALSE = b"\1\1\xff", b"\1\1\0"
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


_Window = tuple[int, int]  # where something begins and ends in the extension


def read(certificate: Certificate) -> PckClaims:
    """Read the extension. Raises: MalformedError."""
    data = certificate.unrecognised.get(OID)
    if data is None:
        raise MalformedError(_WHAT, "is missing")
    fields = _named(data, _inside(data, (0, len(data))), b"")
    tcb = _named(data, _inside(data, _part(fields, _TCB)), _TCB)
    flags = dict.fromkeys(_OPTIONAL_FLAGS) if _CONFIGURATION not in fields else _flags(data, fields)
    return PckClaims(
        ppid=_octets(data, fields, _PPID, 16),
        components=tuple([_number(data, tcb, bytes([n]), 0xFF) for n in range(1, _COMPONENTS + 1)]),
        pce_svn=_number(data, tcb, bytes([_PCE_SVN]), 0xFFFF),
        cpu_svn=_octets(data, tcb, bytes([_CPU_SVN]), 16),
        pce_id=_octets(data, fields, _PCE_ID, 2),
        fmspc=_octets(data, fields, _FMSPC, 6),
        sgx_type=_number(data, fields, _SGX_TYPE, 2, _ENUMERATED),
        platform_instance=_octets(data, fields, _INSTANCE, 16) if _INSTANCE in fields else None,
        dynamic_platform=flags["dynamic_platform"],
        cached_keys=flags["cached_keys"],
        smt_enabled=flags["smt_enabled"],
    )


def _malformed(message: str, at: int) -> MalformedError:
    return MalformedError(_WHAT, message, offset=at)


def _element(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    """Return tag, beginning and end of the content of the element at `at`, which lies before `end`.

    Definite, shortest length, one-byte tag. A certificate has some ninety of them, so that an object for
    each would cost more than all else here.
    """
    if at + 2 > end:
        raise _malformed("ends inside an element", at)
    tag, size, start = data[at], data[at + 1], at + 2
    if size >= 0x80:
        count = size & 0x7F
        start += count
        size = int.from_bytes(data[at + 2 : start], "big")
        if not 1 <= count <= 2 or size < (0x80, 0x100)[count - 1]:
            raise _malformed("has a length that is not in DER", at)
    if start + size > end:
        raise _malformed(f"has an element of {size} bytes that runs over its end", at)
    return tag, start, start + size


def _inside(data: bytes, window: _Window) -> _Window:
    """Return the content of the one SEQUENCE that fills the window."""
    tag, start, end = _element(data, *window)
    if tag != _SEQUENCE or end != window[1]:
        raise _malformed(f"has an element {tag:#04x} where one {_SEQUENCE:#04x} alone is wanted", end)
    return start, end


def _named(data: bytes, sequence: _Window, below: bytes) -> dict[bytes, _Window]:
    """Read SEQUENCE OF SEQUENCE {OID, value} by what follows the common prefix in the OID."""
    prefix, found = _PREFIX + below, dict[bytes, _Window]()
    at, end = sequence
    while at < end:
        tag, name_at, at = _element(data, at, end)
        if tag != _SEQUENCE:
            raise _malformed(f"has an element {tag:#04x}, want a SEQUENCE", at)
        tag, start, value_at = _element(data, name_at, at)
        name = data[start:value_at]
        if tag != _OBJECT_ID or not name.startswith(prefix):
            raise _malformed("has a name outside Intel's arc", value_at)
        key = name[len(prefix) :]
        if key in found:
            raise _malformed(f"has the name {key.hex()} twice", value_at)
        found[key] = value_at, at
    return found


def _part(fields: Mapping[bytes, _Window], name: bytes) -> _Window:
    window = fields.get(name)
    if window is None:
        raise MalformedError(_WHAT, f"lacks the field {name.hex()}")
    return window


def _octets(data: bytes, fields: Mapping[bytes, _Window], name: bytes, size: int) -> bytes:
    """Return an OCTET STRING of this size, which has one spelling."""
    start, end = _part(fields, name)
    if data[start : start + 2] != bytes((_OCTETS, size)) or end - start != 2 + size:
        head = data[start : start + 2].hex()
        raise _malformed(
            f"field {name.hex()} begins with {head} and is {end - start - 2} bytes, want {size} in DER", start
        )
    return data[start + 2 : end]


def _number(data: bytes, fields: Mapping[bytes, _Window], name: bytes, most: int, tag: int = _INTEGER) -> int:
    """Return a number from 0 to `most`, at most 65535, in its one spelling."""
    start, end = _part(fields, name)
    number = int.from_bytes(data[start + 2 : end], "big")
    size = number.bit_length() // 8 + 1  # the first bit is a sign
    if number > most or data[start:end] != bytes((tag, size)) + number.to_bytes(size, "big"):
        raise _malformed(f"has the number {data[start:end][:8].hex()}, want 0 to {most} in DER", start)
    return number


def _flags(data: bytes, fields: Mapping[bytes, _Window]) -> dict[str, bool | None]:
    found = _named(data, _inside(data, _part(fields, _CONFIGURATION)), _CONFIGURATION)
    flags: dict[str, bool | None] = {}
    for number, name in enumerate(_OPTIONAL_FLAGS, start=1):
        key = bytes([number])
        flags[name] = _boolean(data, *found[key]) if key in found else None
    return flags


def _boolean(data: bytes, start: int, end: int) -> bool:
    value = data[start:end]
    if value not in (_TRUE, _FALSE):
        raise _malformed("has a BOOLEAN that is not in DER", start)
    return value == _TRUE
