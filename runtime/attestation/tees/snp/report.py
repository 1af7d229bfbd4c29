"""The SEV-SNP attestation report: 1184 bytes, every one of them looked at. Pure.

AMD 56860 (SEV Secure Nested Paging Firmware ABI Specification), table 23, versions 2, 3 and 5. Bytes that
must be zero are zero or the report is malformed. What the fields say is not judged here.
Bits of PLATFORM_INFO that are not named are informative (bit 6 appeared on real chips before it had a
name): they are kept, and no rule reads them.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from runtime.attestation.snp_claims import Tcb
from runtime.documents.reference_values import SnpProduct
from runtime.errors import MalformedError

REPORT_BYTES = 1184
SIGNED_BYTES = 0x2A0
VERSIONS = frozenset({2, 3, 5})

# POLICY, table 10
POLICY_SMT = 1 << 16
POLICY_RESERVED_ONE = 1 << 17  # must be one
POLICY_MIGRATE_MA = 1 << 18
POLICY_DEBUG = 1 << 19
POLICY_CXL = 1 << 21
POLICY_BITS: Mapping[str, int] = MappingProxyType(
    {
        "single_socket": 1 << 20,
        "aes_256_xts": 1 << 22,
        "rapl_disabled": 1 << 23,
        "ciphertext_hiding": 1 << 24,
        "page_swap_disabled": 1 << 25,
    }
)
POLICY_RESERVED_FROM = 26  # this bit and all above must be zero

# PLATFORM_INFO, table 24
PLATFORM_BITS: Mapping[str, int] = MappingProxyType(
    {
        "smt": 1 << 0,
        "tsme": 1 << 1,
        "ecc": 1 << 2,
        "rapl_disabled": 1 << 3,
        "ciphertext_hiding": 1 << 4,
        "alias_check_complete": 1 << 5,
        "tio": 1 << 7,
    }
)

_SIGNERS: Mapping[int, Literal["vcek", "vlek"]] = MappingProxyType({0: "vcek", 1: "vlek"})
_ECDSA_P384_SHA384 = 1  # SIGNATURE_ALGO, table 139
_ECDSA = ec.ECDSA(hashes.SHA384())
_COORDINATE_BYTES = 72  # R and S: little-endian, the upper 24 bytes zero
_P384_BYTES = 48
_WHAT = "SNP report"

_ZERO = ((0x04C, 0x050), (0x1EB, 0x1EC), (0x1EF, 0x1F0), (0x208, SIGNED_BYTES), (0x330, REPORT_BYTES))
_ZERO_BEFORE_3 = ((0x188, 0x1A0),)
_ZERO_FROM_3 = ((0x18B, 0x1A0),)
_ZERO_BEFORE_5 = ((0x1F8, 0x208),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The fields of one report as they stand: nothing about them is verified."""

    signed: bytes
    r: int
    s: int
    version: int
    guest_svn: int
    policy: int
    family_id: bytes
    image_id: bytes
    vmpl: int
    signature_algo: int
    current_tcb: bytes  # 8, raw: the layout depends on the product
    platform_info: int
    author_key_en: bool
    mask_chip_key: bool
    signer: Literal["vcek", "vlek"]
    report_data: bytes
    measurement: bytes
    host_data: bytes
    id_key_digest: bytes
    author_key_digest: bytes
    report_id: bytes
    report_id_ma: bytes
    reported_tcb: bytes
    cpuid: tuple[int, int, int] | None  # family, model, stepping; None before version 3
    chip_id: bytes
    committed_tcb: bytes
    current_version: tuple[int, int, int]  # major, minor, build
    committed_version: tuple[int, int, int]
    launch_tcb: bytes
    mitigations: tuple[int, int] | None  # launch and current; None before version 5

    @property
    def product(self) -> SnpProduct | None:
        """Name the product line that the signed CPUID means; None for version 2 and for unknown parts."""
        return None if self.cpuid is None else _product(*self.cpuid[:2])

    @property
    def debug(self) -> bool:
        """Whether the host may read the guest's memory."""
        return bool(self.policy & POLICY_DEBUG)


def parse(data: bytes) -> Report:
    """Read a report. Raises: MalformedError."""
    if len(data) != REPORT_BYTES:
        raise MalformedError(_WHAT, f"is {len(data)} bytes, want {REPORT_BYTES}")
    version, guest_svn, policy = struct.unpack_from("<IIQ", data, 0x000)
    if version not in VERSIONS:
        raise MalformedError(_WHAT, f"VERSION is {version}, want one of {sorted(VERSIONS)}", offset=0)
    _check_zero(data, version)
    vmpl, signature_algo = struct.unpack_from("<II", data, 0x030)
    if signature_algo != _ECDSA_P384_SHA384:
        raise MalformedError(_WHAT, f"SIGNATURE_ALGO is {signature_algo}, want 1", offset=0x034)
    platform_info, key_bits = struct.unpack_from("<QI", data, 0x040)
    signer = _SIGNERS.get(key_bits >> 2 & 0b111)
    if signer is None:
        raise MalformedError(
            _WHAT, f"SIGNING_KEY is {key_bits >> 2 & 0b111}, want 0 (VCEK) or 1 (VLEK)", offset=0x048
        )
    if key_bits >> 5:
        raise MalformedError(_WHAT, "has reserved bits set beside SIGNING_KEY", offset=0x048)
    return Report(
        signed=data[:SIGNED_BYTES],
        r=_coordinate(data, 0x2A0, "R"),
        s=_coordinate(data, 0x2E8, "S"),
        version=version,
        guest_svn=guest_svn,
        policy=policy,
        family_id=data[0x010:0x020],
        image_id=data[0x020:0x030],
        vmpl=vmpl,
        signature_algo=signature_algo,
        current_tcb=data[0x038:0x040],
        platform_info=platform_info,
        author_key_en=bool(key_bits & 1),
        mask_chip_key=bool(key_bits & 2),
        signer=signer,
        report_data=data[0x050:0x090],
        measurement=data[0x090:0x0C0],
        host_data=data[0x0C0:0x0E0],
        id_key_digest=data[0x0E0:0x110],
        author_key_digest=data[0x110:0x140],
        report_id=data[0x140:0x160],
        report_id_ma=data[0x160:0x180],
        reported_tcb=data[0x180:0x188],
        cpuid=(data[0x188], data[0x189], data[0x18A]) if version >= 3 else None,
        chip_id=data[0x1A0:0x1E0],
        committed_tcb=data[0x1E0:0x1E8],
        current_version=(data[0x1EA], data[0x1E9], data[0x1E8]),
        committed_version=(data[0x1EE], data[0x1ED], data[0x1EC]),
        launch_tcb=data[0x1F0:0x1F8],
        mitigations=struct.unpack_from("<QQ", data, 0x1F8) if version >= 5 else None,
    )


def _check_zero(data: bytes, version: int) -> None:
    ranges = _ZERO + (_ZERO_FROM_3 if version >= 3 else _ZERO_BEFORE_3)
    for start, end in ranges + (() if version >= 5 else _ZERO_BEFORE_5):
        if any(data[start:end]):
            raise MalformedError(_WHAT, f"bytes {start:#05x} to {end - 1:#05x} must be zero", offset=start)


def _coordinate(data: bytes, offset: int, name: str) -> int:
    if any(data[offset + _P384_BYTES : offset + _COORDINATE_BYTES]):
        raise MalformedError(_WHAT, f"{name} is longer than 48 bytes", offset=offset)
    return int.from_bytes(data[offset : offset + _P384_BYTES], "little")


def _product(family: int, model: int) -> SnpProduct | None:
    """AMD 57230 and the processor programming references; an unknown part has no default."""
    match family, model >> 4:
        case 0x19, 0x0:
            return "Milan"
        case 0x19, 0x1 | 0xA:
            return "Genoa"
        case 0x1A, 0x0 | 0x1:
            return "Turin"
        case _:
            return None


def tcb(raw: bytes, product: SnpProduct) -> Tcb:
    """Read a TCB_VERSION in the layout of `product` (AMD 56860, tables 3 and 4). Raises: MalformedError."""
    reserved = raw[4:7] if product == "Turin" else raw[2:6]
    if any(reserved):
        raise MalformedError(_WHAT, f"TCB_VERSION {raw.hex()} has reserved bytes set for {product}")
    if product == "Turin":
        return Tcb(fmc=raw[0], bootloader=raw[1], tee=raw[2], snp=raw[3], microcode=raw[7])
    return Tcb(fmc=None, bootloader=raw[0], tee=raw[1], snp=raw[6], microcode=raw[7])


def signed_by(report: Report, key: ec.EllipticCurvePublicKey) -> bool:
    """Tell whether `key` (P-384) signed the report's first 0x2A0 bytes."""
    if not isinstance(key.curve, ec.SECP384R1):
        return False
    try:
        key.verify(encode_dss_signature(report.r, report.s), report.signed, _ECDSA)
    except InvalidSignature:
        return False
    return True
