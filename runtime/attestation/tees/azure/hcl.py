"""The report that Azure's paravisor leaves in the TPM's NV index 0x01400001, every byte looked at. Pure.

Layout of microsoft/openvmm, `openhcl/openhcl_attestation_protocol` (igvm_attest::get), little-endian:

    | bytes | field                                                                          |
    |-------|--------------------------------------------------------------------------------|
    | 4     | "HCLA"                                                                         |
    | 4     | version: 1 or 2                                                                |
    | 4     | size of all that is used                                                       |
    | 4     | request type: 2, AK certificate                                                |
    | 4     | status: 0                                                                      |
    | 12    | reserved: zero                                                                 |
    | 1184  | SNP report, or TDREPORT of 1024 bytes and zeros                                |
    | 20    | size from here, version 1, report type, hash type 1 (SHA-256), size of the JSON |
    | n     | runtime JSON                                                                   |
    | rest  | zero: the NV index is larger                                                   |

REPORT_DATA of the inner report is the SHA-256 of the JSON and 32 zero bytes. What the fields say is judged in
`overlay`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType
from typing import Literal

from runtime.errors import MalformedError

Kind = Literal["snp", "tdx"]

MAX_HCL_SIZE = 16 * 1024  # bytes; the NV indices have 2,048 to 2,900
TEE_REPORT_BYTES = 1184
TDREPORT_BYTES = 1024
_HEADER = struct.Struct("<4sIIII12s")
_REQUEST = struct.Struct("<IIIII")
_VERSIONS = frozenset({1, 2})
_AK_CERT_REQUEST = 2
_SHA256 = 1
_KINDS: Mapping[int, Kind] = MappingProxyType({2: "snp", 4: "tdx"})
_REPORT_DATA_BYTES = 64

# TDREPORT_STRUCT, Intel TDX Module 1.5 ABI Specification, section 3.3.4
_TD_REPORT_TYPE = b"\x81"
_TD_REPORT_DATA = slice(128, 192)
_TD_MRTD = slice(528, 576)
_WHAT = "HCL report"


@dataclass(frozen=True, slots=True, kw_only=True)
class HclReport:
    """The fields of one report as they stand: nothing about them is verified."""

    header_version: int
    kind: Kind
    tee_report: bytes  # SNP: 1184; TDX: 1024, whose MAC only the machine itself can check
    runtime_json: bytes  # unread: `overlay` reads it once the hardware's signature is known to cover it

    @property
    def runtime_digest(self) -> bytes:
        """The SHA-256 that the hardware has to have signed."""
        return sha256(self.runtime_json).digest()

    @property
    def wanted_report_data(self) -> bytes:
        """What REPORT_DATA has to be."""
        return self.runtime_digest.ljust(_REPORT_DATA_BYTES, b"\0")

    @property
    def report_data(self) -> bytes:
        """REPORT_DATA of the inner report, 64 bytes."""
        return self.tee_report[_TD_REPORT_DATA] if self.kind == "tdx" else self.tee_report[0x50:0x90]

    @property
    def measurement(self) -> bytes:
        """MEASUREMENT of an SNP report, MRTD of a TDREPORT: 48 bytes."""
        return self.tee_report[_TD_MRTD] if self.kind == "tdx" else self.tee_report[0x90:0xC0]


def parse(data: bytes) -> HclReport:
    """Read a report. Raises: MalformedError."""
    if len(data) > MAX_HCL_SIZE:
        raise MalformedError(_WHAT, f"is {len(data)} bytes, want at most {MAX_HCL_SIZE}")
    request_at = _HEADER.size + TEE_REPORT_BYTES
    start = request_at + _REQUEST.size
    if len(data) <= start:
        raise MalformedError(_WHAT, f"is {len(data)} bytes, want more than {start}")
    magic, version, used, request, status, reserved = _HEADER.unpack_from(data)
    if magic != b"HCLA":
        raise MalformedError(_WHAT, "does not begin with HCLA", offset=0)
    if version not in _VERSIONS:
        raise MalformedError(_WHAT, f"version is {version}, want 1 or 2", offset=4)
    if request != _AK_CERT_REQUEST or status != 0 or any(reserved):
        raise MalformedError(_WHAT, "request type, status and reserved are not 2, 0 and zeros", offset=12)
    size, request_version, kind_number, hash_type, json_size = _REQUEST.unpack_from(data, request_at)
    end = start + json_size
    if used != end or size != _REQUEST.size + json_size or end > len(data):
        raise MalformedError(
            _WHAT, f"its sizes {used}, {size} and {json_size} do not agree in {len(data)} bytes", offset=8
        )
    if any(data[end:]):
        raise MalformedError(_WHAT, "has bytes behind the runtime data that are not zero", offset=end)
    kind = _KINDS.get(kind_number)
    if request_version != 1 or kind is None or hash_type != _SHA256:
        raise MalformedError(
            _WHAT,
            f"has version {request_version}, report type {kind_number}, hash type {hash_type}, "
            "want 1, 2 (SNP) or 4 (TDX), 1 (SHA-256)",
            offset=request_at + 4,
        )
    return HclReport(
        header_version=version,
        kind=kind,
        tee_report=_tee_report(data[_HEADER.size : request_at], kind),
        runtime_json=data[start:end],
    )


def _tee_report(raw: bytes, kind: Kind) -> bytes:
    """The SNP report is read by `tees.snp`; of a TDREPORT only the frame is looked at here."""
    if kind == "snp":
        return raw
    if raw[:1] != _TD_REPORT_TYPE:
        raise MalformedError(_WHAT, f"TDREPORT type is {raw[0]:#04x}, want 0x81", offset=_HEADER.size)
    if any(raw[TDREPORT_BYTES:]):
        raise MalformedError(
            _WHAT, "bytes behind the TDREPORT must be zero", offset=_HEADER.size + TDREPORT_BYTES
        )
    return raw[:TDREPORT_BYTES]
